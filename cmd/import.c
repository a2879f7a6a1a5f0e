/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea import`: the configuration of another program, as cardea.yaml. */
#include "import/import.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

#include "base/file.h"
#include "base/str.h"
#include "cert/pem.h"
#include "cmd/cmd.h"

static int read_file(void *arg, const char *path, struct buf *ret, struct err *err)
{
    (void)arg;
    return file_read(path, IMPORT_FILE_MAX, ret, NULL, err);
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int list_directory(void *arg, const char *path, struct buf *ret, struct err *err)
{
    struct dirent **entries;
    (void)arg;
    int n = scandir(path, &entries, not_hidden, alphasort);
    if (n < 0)
        return err_errno(err, errno, "cannot read the directory %s", path);
    for (int i = 0; i < n; i++) {
        buf_append(ret, entries[i]->d_name, strlen(entries[i]->d_name) + 1);
        free(entries[i]);
    }
    free((void *)entries);
    return 0;
}

static int pins(void *arg, const char *path, struct buf *ret, struct err *err)
{
    struct buf text = {0};
    (void)arg;
    int rc = file_read(path, IMPORT_FILE_MAX, &text, NULL, err);
    if (rc == 0)
        rc = pem_pins(&text, ret, err);
    buf_free(&text);
    return rc;
}

static uint16_t service_port(void *arg, const char *service)
{
    (void)arg;
    const struct servent *entry = getservbyname(service, "tcp"); /* NOLINT(concurrency-mt-unsafe) */
    return entry == NULL ? 0 : ntohs((uint16_t)entry->s_port);
}

/* What came of it, for people; the list for programs is --json. */
static int print_result(const struct import_program *p, const struct import_result *r, bool json)
{
    fwrite(json ? r->json.data : r->yaml.data, 1, json ? r->json.len : r->yaml.len, stdout);
    fprintf(stderr, "cardea: %s: %zu taken over, %zu not needed, %zu without equivalent\n", p->name, r->taken,
            r->needless, r->missing);
    return CMD_OK;
}

/* `argv`: a file, or with `args` a command line. */
static int run(const struct import_program *p, int argc, char **argv, bool args, bool json)
{
    const struct import_files files = {NULL, read_file, list_directory, pins, service_port};
    struct import_result result = {0};
    struct err err;
    int rc = args ? p->args(argc, (const char *const *)argv, &files, &result, &err)
                  : p->file(argv[0], &files, &result, &err);
    int status = rc < 0 ? cmd_failed("%s", err.text) : print_result(p, &result, json);
    import_result_free(&result);
    return status;
}

/* What stands behind the program's name, with argv[0] the first word of it. */
static int run_words(const struct import_program *p, int argc, char **argv, bool json)
{
    if (argc > 0 && strcmp(argv[0], "--json") == 0)
        json = true, argc--, argv++;
    if (p->args != NULL && argc > 1 && strcmp(argv[0], "--") == 0)
        return run(p, argc - 1, argv + 1, true, json);
    if (p->file == NULL)
        return cmd_misused("import", "expected -- and the arguments of %s", p->name);
    if (argc == 2 && strcmp(argv[1], "--json") == 0)
        json = true, argc--;
    if (argc != 1 || strcmp(argv[0], "--") == 0)
        return cmd_misused("import", "expected one file of %s%s", p->name,
                           p->args != NULL ? ", or -- and its arguments" : "");
    return run(p, argc, argv, false, json);
}

static int unknown_program(const char *name)
{
    char hint[STR_HINT_MAX];
    return cmd_misused("import", "found '%s', expected stunnel, hitch, ghostunnel or sslh%s", name,
                       str_hint(name, import_names, hint));
}

int cmd_import(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool json = false;
    const struct import_program *p = NULL;
    int c;
    /* "+": what follows the program is its own, and may begin with "--" too. */
    while ((c = cmd_option(argc, argv, "+h", options)) != -1) {
        if (c == 'j')
            json = true;
        else
            return cmd_usage("import", c == 'h');
    }
    if (optind == argc)
        return cmd_usage("import", false);
    p = import_find(argv[optind]);
    if (p == NULL)
        return unknown_program(argv[optind]);
    return run_words(p, argc - optind - 1, argv + optind + 1, json);
}
