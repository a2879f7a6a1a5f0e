/* SPDX-License-Identifier: Apache-2.0 */
/* import/: any bytes as the configuration of another program, which the first byte chooses: an error text, or
 * YAML and JSON that can be read. What it includes is the same text again. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/check.h"
#include "config/report.h"
#include "config/yaml.h"
#include "import/import.h"

#define WORDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int world_read(void *arg, const char *path, struct buf *ret, struct err *err)
{
    const struct buf *text = arg;
    if (*path == '?')
        return err_set(err, "%s: no such file", path);
    return buf_append(ret, text->data, text->len) ? 0 : err_set(err, "out of memory");
}

static int world_list(void *arg, const char *path, struct buf *ret, struct err *err)
{
    static const char names[] = "a.0\0b.r0\0.hidden";
    (void)arg;
    if (*path == '?')
        return err_set(err, "%s: no such directory", path);
    return buf_append(ret, names, sizeof(names)) ? 0 : err_set(err, "out of memory");
}

static int world_pins(void *arg, const char *path, struct buf *ret, struct err *err)
{
    static const char pins[] = "cGlu\0cGluMg==";
    (void)arg;
    if (*path == '?')
        return err_set(err, "%s: no such file", path);
    return buf_append(ret, pins, sizeof(pins)) ? 0 : err_set(err, "out of memory");
}

static uint16_t world_port(void *arg, const char *service)
{
    (void)arg;
    return (uint16_t)(*service == 'p' ? 1024 : 0);
}

static int import_args(const struct import_program *p, const struct buf *text,
                       const struct import_files *files, struct import_result *ret, struct err *err)
{
    const char *argv[WORDS_MAX];
    int argc = 0;
    char *copy = strndup(text->len > 0 ? (const char *)text->data : "", text->len), *rest = copy;
    CHECK(copy != NULL);
    for (char *word; argc < WORDS_MAX && (word = strsep(&rest, "\n")) != NULL;)
        argv[argc++] = word;
    int rc = p->args(argc, argv, files, ret, err);
    free(copy);
    return rc;
}

static void check_output(struct import_result *r)
{
    struct buf errors = {0};
    struct report report = {.file = "imported", .out = &errors};
    struct config_store *store = store_new();
    CHECK(yaml_read(&report, store, r->yaml.data, r->yaml.len) != NULL);
    store_free(store);
    json_t *json = json_loadb((const char *)r->json.data, r->json.len, JSON_REJECT_DUPLICATES, NULL);
    CHECK(json != NULL);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    const struct import_program *p = import_find(import_names[*data % 4]);
    struct buf text = {0};
    struct import_files files = {&text, world_read, world_list, world_pins, world_port};
    struct import_result result = {0};
    struct err err = {""};
    CHECK(buf_append(&text, data + 1, len - 1));
    bool args = p->file == NULL || (p->args != NULL && len > 1 && data[1] == '-');
    int rc = !args ? p->file("fuzz", &files, &result, &err) : import_args(p, &text, &files, &result, &err);
    if (rc == 0)
        check_output(&result);
    else
        CHECK(err.text[0] != '\0' && result.yaml.len == 0 && result.json.len == 0);
    import_result_free(&result);
    buf_free(&text);
    return 0;
}
