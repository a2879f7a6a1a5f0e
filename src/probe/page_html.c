/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/page_html.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"

/* What is left of a page, or of a tag. */
struct scan {
    const char *at, *end;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool begins(const struct scan *s, const char *word)
{
    size_t len = strlen(word);
    return (size_t)(s->end - s->at) >= len && strncasecmp(s->at, word, len) == 0;
}

/* Go on to `word`, or to the end. */
static void seek(struct scan *s, const char *word)
{
    while (s->at < s->end && !begins(s, word))
        s->at++;
}

static struct str taken(const struct scan *s, const char *from)
{
    return (struct str){from, (size_t)(s->at - from)};
}

static bool same_word(struct str s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

/* ---- tags ---- */

static void skip_spaces(struct scan *s)
{
    while (s->at < s->end && (is_space(*s->at) || *s->at == '/'))
        s->at++;
}

static struct str read_value(struct scan *s)
{
    char quote = s->at < s->end && (*s->at == '"' || *s->at == '\'') ? *s->at++ : '\0';
    const char *from = s->at;
    while (s->at < s->end && (quote != '\0' ? *s->at != quote : !is_space(*s->at) && *s->at != '>'))
        s->at++;
    struct str value = taken(s, from);
    if (quote != '\0' && s->at < s->end)
        s->at++;
    return value;
}

/* The next attribute of a tag; false behind the last, with the tag's end taken. */
static bool read_attribute(struct scan *s, struct str *ret_name, struct str *ret_value)
{
    skip_spaces(s);
    if (s->at == s->end || *s->at == '>') {
        s->at += s->at < s->end;
        return false;
    }
    const char *from = s->at++; /* whatever it is: so the scan goes on */
    while (s->at < s->end && !is_space(*s->at) && *s->at != '=' && *s->at != '>' && *s->at != '/')
        s->at++;
    *ret_name = taken(s, from);
    *ret_value = (struct str){s->at, 0};
    while (s->at < s->end && is_space(*s->at))
        s->at++;
    if (s->at < s->end && *s->at == '=') {
        s->at++;
        while (s->at < s->end && is_space(*s->at))
            s->at++;
        *ret_value = read_value(s);
    }
    return true;
}

/* At "<" and a letter or "/": the whole tag, and of a script or style all to where it ends. */
static void read_tag(struct scan *s, page_link_found *found, void *arg)
{
    struct str name, value, tag;
    const char *from = ++s->at;
    while (s->at < s->end && !is_space(*s->at) && *s->at != '>' && (*s->at != '/' || s->at == from))
        s->at++;
    tag = taken(s, from);
    while (read_attribute(s, &name, &value))
        if (found != NULL && (same_word(name, "href") || same_word(name, "src")))
            found(arg, value);
    if (same_word(tag, "script"))
        seek(s, "</script");
    else if (same_word(tag, "style"))
        seek(s, "</style");
}

/* At "<". */
static void read_markup(struct scan *s, page_link_found *found, void *arg)
{
    char next = s->end - s->at > 1 ? s->at[1] : '\0';
    if (begins(s, "<!--")) {
        s->at += strlen("<!--");
        seek(s, "-->");
        s->at += MIN((size_t)(s->end - s->at), strlen("-->"));
    } else if (is_letter(next) || next == '/') {
        read_tag(s, found, arg);
    } else if (next == '!' || next == '?') {
        seek(s, ">");
        s->at += s->at < s->end;
    }
}

static void read_page(struct str html, page_text_found *text, page_link_found *link, void *arg)
{
    struct scan s = {html.p, html.p + html.len};
    while (s.at < s.end) {
        const char *from = s.at;
        if (*from == '<')
            read_markup(&s, link, arg);
        if (s.at != from)
            continue;
        s.at++; /* a "<" that begins nothing is text */
        while (s.at < s.end && *s.at != '<')
            s.at++;
        if (text != NULL)
            text(arg, taken(&s, from));
    }
}

void page_text(struct str html, page_text_found *found, void *arg)
{
    read_page(html, found, NULL, arg);
}

void page_links(struct str html, page_link_found *found, void *arg)
{
    read_page(html, NULL, found, arg);
}

/* ---- references ---- */

/* Without what a page's author may have around it, its fragment, and "&amp;" where "&" is meant; what is not
 * ASCII in the form that goes over the wire (RFC 3987, 3.1) and is safe to show. False: too long, or not
 * printable. */
static bool plain(struct str reference, char ret[PAGE_PATH_MAX])
{
    struct scan s = {reference.p, reference.p + reference.len};
    size_t n = 0;
    while (s.at < s.end && is_space(*s.at))
        s.at++;
    while (s.at < s.end && is_space(s.end[-1]))
        s.end--;
    for (; s.at < s.end && *s.at != '#'; s.at++) {
        unsigned char c = (unsigned char)*s.at;
        bool ascii = c < 0x80;
        size_t len = ascii ? 1 : 3;
        if (c <= ' ' || c == 0x7f || n + len >= PAGE_PATH_MAX)
            return false;
        snprintf(ret + n, len + 1, ascii ? "%c" : "%%%02X", c);
        n += len;
        if (begins(&s, "&amp;"))
            s.at += strlen("amp;");
    }
    ret[n] = '\0';
    return true;
}

/* Is what stands at `at`, behind "//", our host, and perhaps a port? NULL: no; else what is behind it. */
static const char *behind_host(const char *at, const char *host)
{
    size_t len = strlen(host), all = strcspn(at, "/?");
    bool v6 = strchr(host, ':') != NULL;
    if (v6 && *at++ != '[')
        return NULL;
    if (strncasecmp(at, host, len) != 0)
        return NULL;
    const char *rest = at + len;
    if (v6 && *rest++ != ']')
        return NULL;
    if (*rest == ':')
        rest += 1 + strspn(rest + 1, "0123456789");
    return rest == at - v6 + all ? rest : NULL;
}

/* What is left of a reference without scheme and host; NULL: it leads elsewhere. */
static const char *behind_site(const char *at, const char *host)
{
    size_t word = strcspn(at, ":/?");
    if (at[word] == ':') {
        if (strncasecmp(at, "http://", 7) != 0 && strncasecmp(at, "https://", 8) != 0)
            return NULL;
        at += word + 1;
    }
    if (strncmp(at, "//", 2) != 0)
        return at;
    at = behind_host(at + 2, host);
    return at == NULL || *at != '\0' ? at : "/";
}

/* Take "." and ".." out of a path (RFC 3986, 5.2.4), not out of its query. In place. */
static void remove_dots(char *path)
{
    size_t end = strcspn(path, "?"), out = 0;
    for (size_t in = 0; in < end;) {
        size_t len = 1 + strcspn(path + in + 1, "/?"); /* "/segment" */
        bool last = in + len == end, up = len == 3 && memcmp(path + in, "/..", 3) == 0;
        if (up || (len == 2 && path[in + 1] == '.')) {
            while (up && out > 0 && path[--out] != '/')
                ;
            if (last)
                path[out++] = '/';
        } else {
            memmove(path + out, path + in, len);
            out += len;
        }
        in += len;
    }
    memmove(path + out, path + end, strlen(path + end) + 1);
}

bool page_link_path(const char *host, const char *base, struct str reference, char ret_path[PAGE_PATH_MAX])
{
    char text[PAGE_PATH_MAX] = "";
    if (!plain(reference, text) || text[0] == '\0')
        return false;
    const char *at = behind_site(text, host);
    if (at == NULL)
        return false;
    size_t keep = 0, query = strcspn(base, "?");
    if (*at == '?') {
        keep = at == text ? query : 0;
    } else if (*at != '/') {
        for (keep = query; keep > 0 && base[keep - 1] != '/'; keep--)
            ;
    }
    const char *root = keep == 0 && *at != '/' ? "/" : "";
    if (keep + strlen(root) + strlen(at) >= PAGE_PATH_MAX)
        return false;
    memcpy(ret_path, base, keep);
    memcpy(ret_path + keep, root, strlen(root));
    memcpy(ret_path + keep + strlen(root), at, strlen(at) + 1);
    remove_dots(ret_path);
    return true;
}
