/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of stunnel(8), "CONFIGURATION FILE". */
#include <string.h>

#include "import/stunnel.h"

#define INCLUDE_DEPTH_MAX 8
#define LINE_MAX_LEN 16384 /* as in stunnel */

/* A file that is being read. */
struct reading {
    struct place at;
    unsigned depth; /* of includes */
};

static int read_file(struct stunnel *st, const char *path, struct reading from);

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static size_t trimmed(const char *p, size_t len)
{
    while (len > 0 && blank(p[len - 1]))
        len--;
    return len;
}

static int open_service(struct stunnel *st, struct place at, const char *line, size_t len)
{
    if (len < 3 || line[len - 1] != ']')
        return import_fail(&st->im, at, "found '[' without its name and ']', expected [SERVICE]");
    struct stunnel_service *svc = pool_alloc(&st->im.pool, sizeof(*svc));
    *svc = (struct stunnel_service){.name = pool_copy(&st->im.pool, line + 1, len - 2), .at = at};
    *(st->last != NULL ? &st->last->next : &st->first) = svc;
    st->last = svc;
    svc->route = outline_new(&st->im.pool); /* until it is built: where its remarks go */
    remember_put(&st->comments, svc->route);
    return 0;
}

static int include(struct stunnel *st, struct reading r, const char *directory)
{
    struct node *paths = outline_list(outline_new(&st->im.pool), "paths");
    if (r.depth >= INCLUDE_DEPTH_MAX)
        return import_fail(&st->im, r.at, "found more than %d includes within each other, expected fewer",
                           INCLUDE_DEPTH_MAX);
    struct buf names = {0};
    struct err why;
    if (st->im.files->list(st->im.files->arg, directory, &names, &why) < 0)
        return import_fail(&st->im, r.at, "found 'include', but %s", why.text);
    const char *end = (const char *)names.data + names.len;
    for (const char *name = (const char *)names.data; name != NULL && name < end; name += strlen(name) + 1)
        if (*name != '.')
            outline_add(paths, pool_printf(&st->im.pool, "%s/%s", directory, name));
    buf_free(&names);
    for (const struct node *n = paths->first; n != NULL; n = n->next)
        if (read_file(st, n->text, (struct reading){r.at, r.depth + 1}) < 0)
            return -1;
    return 0;
}

/* NAME = VALUE */
static int take_option(struct stunnel *st, struct reading r, const char *line, size_t len)
{
    const char *equals = memchr(line, '=', len);
    if (equals == NULL)
        return import_fail(&st->im, r.at,
                           "found a line without '=', expected OPTION = VALUE, [SERVICE] or ';'");
    const char *value = equals + 1, *end = line + len;
    while (value < end && blank(*value))
        value++;
    const char *name = pool_copy(&st->im.pool, line, trimmed(line, (size_t)(equals - line)));
    const char *text = pool_copy(&st->im.pool, value, (size_t)(end - value));
    if (strcasecmp(name, "include") == 0)
        return include(st, r, text);
    remember_put(&st->comments, st->last != NULL ? st->last->route : st->im.root);
    if (st->last != NULL)
        return setting_add(&st->im, &st->last->scope, STUNNEL_SERVICE, "within a service", r.at, name, text);
    return setting_add(&st->im, &st->global, STUNNEL_GLOBAL, "before the first service", r.at, name, text);
}

static int take_line(struct stunnel *st, struct reading r, const char *line, size_t len)
{
    const char *end = line + trimmed(line, len);
    if (len > LINE_MAX_LEN || memchr(line, '\0', len) != NULL)
        return import_fail(&st->im, r.at, "found a line of %zu bytes%s, expected text of at most %d", len,
                           len > LINE_MAX_LEN ? "" : " with a NUL", LINE_MAX_LEN);
    for (; line < end && blank(*line); line++)
        r.at.column++;
    len = (size_t)(end - line);
    if (len == 0)
        remember_forget(&st->comments);
    else if (*line == ';' || *line == '#')
        remember_add(&st->comments, &st->im.pool, line + 1, len - 1);
    else
        return *line == '[' ? open_service(st, r.at, line, len) : take_option(st, r, line, len);
    return 0;
}

static int read_text(struct stunnel *st, struct reading r, const char *p, size_t len)
{
    if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        p += 3, len -= 3;
    const char *end = p + len;
    remember_forget(&st->comments);
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        const char *stop = nl != NULL ? nl : end;
        r.at.line++;
        r.at.column = 1;
        if (take_line(st, r, p, (size_t)(stop - p)) < 0)
            return -1;
        p = stop + (nl != NULL);
    }
    return 0;
}

static int read_file(struct stunnel *st, const char *path, struct reading from)
{
    struct buf text = {0};
    struct err why;
    if (++st->im.files_len > IMPORT_FILES_MAX)
        return import_fail(&st->im, from.at, "found more than %d files, expected fewer", IMPORT_FILES_MAX);
    if (st->im.files->read(st->im.files->arg, path, &text, &why) < 0)
        return err_set(st->im.err, "%s", why.text);
    from.at = (struct place){.file = path};
    int rc = read_text(st, from, (const char *)text.data, text.len);
    buf_free(&text);
    return rc;
}

int stunnel_read(struct stunnel *st, const char *path)
{
    return read_file(st, path, (struct reading){0});
}
