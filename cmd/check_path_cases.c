/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of cases, each a folder with chain.pem, roots.pem (or one for all beside the cases, or --roots)
 * and case.json: what is asked, and which verdict is expected. */
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "cmd/check_path.h"
#include "cmd/cmd.h"
#include "cmd/table.h"

#define CATEGORIES_MAX 256

struct category {
    char *name;
    size_t cases, right, wrong, open; /* open: nothing is expected of them */
};

struct run {
    const char *dir;
    const struct check_path_case *defaults;
    bool json;
    struct category categories[CATEGORIES_MAX];
    size_t categories_len;
    struct buf wrong; /* lines about them, for people */
    size_t broken;    /* cases that could not be read */
};

/* ---- one case ---- */

static char *path_in(const struct run *run, const char *name, const char *file)
{
    struct buf path = {0};
    if (name != NULL)
        buf_printf(&path, "%s/%s/%s", run->dir, name, file);
    else
        buf_printf(&path, "%s/%s", run->dir, file);
    char *text = buf_text(&path);
    CHECK(text != NULL);
    return text;
}

/* The case's own roots, those beside the cases, or what the command line says. */
static char *find_roots(const struct run *run, const char *name)
{
    for (int i = 0; i < 2; i++) {
        char *path = path_in(run, i == 0 ? name : NULL, "roots.pem");
        if (access(path, F_OK) == 0)
            return path;
        free(path);
    }
    return run->defaults->roots != NULL ? strdup(run->defaults->roots) : NULL;
}

/* A text of case.json, or a number as text would be one: "at" may be either. */
static int read_time(const json_t *json, struct check_path_case *ret, struct err *err)
{
    const json_t *at = json_object_get(json, "at");
    if (json_is_integer(at))
        ret->at = json_integer_value(at);
    else if (at != NULL && (!json_is_string(at) || !check_path_time(json_string_value(at), &ret->at)))
        return err_set(err, "case.json: \"at\": expected a time such as \"2026-11-28T12:00:00Z\"");
    return 0;
}

/* Texts stay with `json`. */
static int read_settings(const json_t *json, struct check_path_case *ret, struct err *err)
{
    const char *name = json_string_value(json_object_get(json, "name"));
    const char *purpose = json_string_value(json_object_get(json, "purpose"));
    ret->category = json_string_value(json_object_get(json, "category"));
    ret->expected = json_string_value(json_object_get(json, "expect"));
    if (name != NULL)
        ret->name = name;
    if (purpose != NULL && !check_path_purpose(purpose, &ret->purpose))
        return err_set(err, "case.json: \"purpose\": found '%s', expected server or client", purpose);
    if (ret->expected != NULL && strcmp(ret->expected, "accept") != 0 && strcmp(ret->expected, "reject") != 0)
        return err_set(err, "case.json: \"expect\": found '%s', expected accept or reject", ret->expected);
    return read_time(json, ret, err);
}

static struct category *category_of(struct run *run, const char *name)
{
    size_t i = 0;
    while (i < run->categories_len && strcmp(run->categories[i].name, name) != 0)
        i++;
    if (i == CATEGORIES_MAX) /* the rest is counted with the last */
        return &run->categories[i - 1];
    if (i == run->categories_len) {
        run->categories[i].name = strdup(name);
        CHECK(run->categories[i].name != NULL);
        run->categories_len++;
    }
    return &run->categories[i];
}

static void count(struct run *run, const struct check_path_case *c, const struct path_report *report)
{
    struct category *category = category_of(run, c->category != NULL ? c->category : "-");
    category->cases++;
    if (c->expected == NULL) {
        category->open++;
    } else if (strcmp(c->expected, report->accepted ? "accept" : "reject") == 0) {
        category->right++;
    } else {
        category->wrong++;
        buf_printf(&run->wrong, "%s: expected %s, found %s%s%s\n", c->label, c->expected,
                   report->accepted ? "accept" : "reject: ", report->accepted ? "" : report->why.text,
                   report->accepted ? " by a path" : "");
    }
}

static int run_case(struct run *run, const char *name, struct err *err)
{
    struct check_path_case c = *run->defaults;
    struct path_report report = {0};
    json_error_t fault;
    char *settings = path_in(run, name, "case.json"), *chain = path_in(run, name, "chain.pem"),
         *roots = find_roots(run, name);
    json_t *json = access(settings, F_OK) == 0 ? json_load_file(settings, 0, &fault) : json_object();
    int rc = json == NULL ? err_set(err, "case.json: line %d: %s", fault.line, fault.text) : 0;
    c.label = name;
    c.chain = chain;
    c.roots = roots;
    if (rc == 0 && roots == NULL)
        rc = err_set(err, "there is no roots.pem, here or beside it, nor --roots");
    if (rc == 0 && (rc = read_settings(json, &c, err)) == 0 &&
        (rc = check_path_verify(&c, &report, err)) == 0) {
        struct buf out = {0};
        if (run->json) {
            check_path_json(&out, &c, &report);
            fwrite(out.data, 1, out.len, stdout);
        }
        buf_free(&out);
        count(run, &c, &report);
    }
    path_report_free(&report);
    json_decref(json);
    free(settings);
    free(chain);
    free(roots);
    return rc;
}

/* ---- all ---- */

static void tell(struct run *run)
{
    static const char *const heads[] = {"CATEGORY", "CASES", "RIGHT", "WRONG", "OPEN"};
    struct table table = {.columns = ARRAY_LEN(heads), .first = run->wrong.len == 0};
    for (size_t i = 0; i < table.columns; i++)
        table_add(&table, "%s", heads[i]);
    for (size_t i = 0; i < run->categories_len; i++) {
        const struct category *c = &run->categories[i];
        table_add(&table, "%s", c->name);
        table_add(&table, "%zu", c->cases);
        table_add(&table, "%zu", c->right);
        table_add(&table, "%zu", c->wrong);
        table_paint(&table, c->wrong > 0 ? TABLE_RED : TABLE_GREEN);
        table_add(&table, "%zu", c->open);
    }
    if (run->wrong.len > 0)
        fwrite(run->wrong.data, 1, run->wrong.len, stdout);
    table_end(&table, stdout);
}

static int is_case(const struct dirent *entry)
{
    return entry->d_name[0] != '.' &&
           (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK);
}

int check_path_cases(const char *dir, const struct check_path_case *defaults, bool json)
{
    struct run run = {.dir = dir, .defaults = defaults, .json = json};
    struct dirent **names = NULL;
    int n = scandir(dir, &names, is_case, alphasort);
    if (n <= 0) {
        free(names);
        return cmd_failed("%s: there are no cases: folders with chain.pem, roots.pem and case.json", dir);
    }
    for (int i = 0; i < n; i++) {
        struct err err;
        if (run_case(&run, names[i]->d_name, &err) < 0) {
            (void)cmd_failed("%s/%s: %s", dir, names[i]->d_name, err.text);
            run.broken++;
        }
        free(names[i]);
    }
    free(names);
    size_t wrong = run.broken;
    if (!json)
        tell(&run);
    for (size_t i = 0; i < run.categories_len; i++) {
        wrong += run.categories[i].wrong;
        free(run.categories[i].name);
    }
    buf_free(&run.wrong);
    return wrong == 0 ? CMD_OK : CMD_FAILED;
}
