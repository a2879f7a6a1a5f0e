/* SPDX-License-Identifier: Apache-2.0 */
/* One request: its options, and what comes back, bounded. */
#include "fetch/fetch_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/clean.h"
#include "base/clock.h"
#include "fetch/proof.h"

#define FETCH_MAGIC 0xfe7c0001u
#define TIMEOUT_NS (30 * NSEC_PER_SEC)
#define CONTENT_MAX ((size_t)1 << 20)
#define HEADS_MAX ((size_t)64 * 1024)
#define REDIRECTS_MAX 10
#define NAME_MAX_SHOWN 200

/* ---- what libcurl brings ---- */

static size_t on_content(char *p, size_t one, size_t n, void *arg)
{
    struct fetch *t = arg;
    if (buf_append(&t->body, p, one * n))
        return one * n;
    t->body_flooded = true;
    return 0;
}

/* Each line on its own. An answer that leads elsewhere, or only says that another follows, leaves nothing
 * behind. */
static size_t on_head(char *p, size_t one, size_t n, void *arg)
{
    struct fetch *t = arg;
    size_t len = one * n;
    if (len >= 5 && memcmp(p, "HTTP/", 5) == 0) {
        t->heads.len = 0;
        t->body.len = 0;
    }
    if (buf_append(&t->heads, p, len))
        return len;
    t->heads_flooded = true;
    return 0;
}

/* ---- its making ---- */

static bool has_scheme(const char *url, const char *scheme)
{
    return strncasecmp(url, scheme, strlen(scheme)) == 0;
}

/* As errors show it: without what may be secret (user, password, query), and safe to print. */
static char *shown(const char *url)
{
    char text[NAME_MAX_SHOWN];
    const char *host = strstr(url, "://") + 3;
    size_t len = strcspn(host, "?#");
    const char *at = memrchr(host, '@', strcspn(host, "/?#"));
    const char *from = at != NULL ? at + 1 : host;
    struct buf plain = {.max = 0};
    CHECK(buf_printf(&plain, "%.*s%.*s", (int)(host - url), url, (int)MIN(len - (size_t)(from - host), 4096),
                     from));
    str_clean(text, sizeof(text), buf_text(&plain));
    buf_free(&plain);
    char *copy = strdup(text);
    CHECK(copy != NULL);
    return copy;
}

static bool append(const struct curl_library *curl, struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl->slist_append(*list, text);
    if (longer != NULL)
        *list = longer;
    return longer != NULL;
}

/* Only web schemes, here and where a redirect leads. */
static bool restrict_schemes(const struct curl_library *curl, CURL *e)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    return curl->easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "http,https") == CURLE_OK;
#else
    return curl->easy_setopt(e, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS) == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_REDIR_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS) == CURLE_OK;
#endif
}

/* What is the same for all. A proxy of the environment is not taken: who starts the door does not decide by
 * a variable, perhaps one left over, which machine hears what it asks. */
static bool set_common(const struct curl_library *curl, struct fetch *t)
{
    CURL *e = t->easy;
    return restrict_schemes(curl, e) && curl->easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_USERAGENT, "cardea/" CARDEA_VERSION) == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_ERRORBUFFER, t->trouble) == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_WRITEFUNCTION, on_content) == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_WRITEDATA, t) == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_HEADERFUNCTION, on_head) == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_HEADERDATA, t) == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_PRIVATE, t) == CURLE_OK;
}

/* HTTP/2 is offered, and HTTP/1.1 where a server (or libcurl) has no other. Who proves nothing is given the
 * simpler one to talk in. */
static bool set_version(const struct curl_library *curl, struct fetch *t, bool unproven)
{
    CURL *e = t->easy;
    return (!unproven &&
            curl->easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) == CURLE_OK) ||
           curl->easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK;
}

static bool set_trust(const struct curl_library *curl, struct fetch *t, const struct fetch_request *r)
{
    CURL *e = t->easy;
    if (curl->easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) != CURLE_OK)
        return false;
    if (r->cert_file != NULL && (curl->easy_setopt(e, CURLOPT_SSLCERT, r->cert_file) != CURLE_OK ||
                                 curl->easy_setopt(e, CURLOPT_SSLKEY, r->key_file) != CURLE_OK))
        return false;
    return r->unproven ? proof_waive(t) : proof_ask(t);
}

static bool set_content(const struct curl_library *curl, struct fetch *t, const struct fetch_request *r)
{
    struct buf type = {.max = 0};
    if (!buf_append(&t->sent, r->body.p, r->body.len) ||
        !buf_printf(&type, "Content-Type: %s", r->type != NULL ? r->type : "application/octet-stream"))
        return false;
    bool ok = append(curl, &t->fields, buf_text(&type)) && append(curl, &t->fields, "Expect:");
    buf_free(&type);
    return ok && curl->easy_setopt(t->easy, CURLOPT_POST, 1L) == CURLE_OK &&
           curl->easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->sent.len) == CURLE_OK &&
           curl->easy_setopt(t->easy, CURLOPT_POSTFIELDS, t->sent.len > 0 ? (char *)t->sent.data : "") ==
               CURLE_OK &&
           curl->easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->fields) == CURLE_OK;
}

static bool set_request(const struct curl_library *curl, struct fetch *t, const struct fetch_request *r)
{
    CURL *e = t->easy;
    if (curl->easy_setopt(e, CURLOPT_URL, r->url) != CURLE_OK ||
        curl->easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)MAX(1, t->timeout / NSEC_PER_MSEC)) != CURLE_OK ||
        curl->easy_setopt(e, CURLOPT_FOLLOWLOCATION, r->follow ? 1L : 0L) != CURLE_OK ||
        curl->easy_setopt(e, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX) != CURLE_OK)
        return false;
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A name server that is slow holds nobody up when the request ends; older libraries do not know it. */
    curl->easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
#endif
    if (strcmp(r->method, "HEAD") == 0)
        return curl->easy_setopt(e, CURLOPT_NOBODY, 1L) == CURLE_OK;
    return strcmp(r->method, "POST") != 0 || set_content(curl, t, r);
}

/* "::HOST:PORT" sends every host and port there. */
static bool set_place(const struct curl_library *curl, struct fetch *t, const char *connect_to)
{
    struct buf text = {.max = 0};
    if (connect_to == NULL)
        return true;
    bool ok = buf_printf(&text, "::%s", connect_to) && append(curl, &t->connect_to, buf_text(&text));
    buf_free(&text);
    return ok && curl->easy_setopt(t->easy, CURLOPT_CONNECT_TO, t->connect_to) == CURLE_OK;
}

static bool set_fields(const struct curl_library *curl, struct fetch *t, const struct fetch_request *r)
{
    struct buf host = {.max = 0};
    if (r->host == NULL && r->fields == NULL)
        return true;
    bool ok = r->host == NULL ||
              (buf_printf(&host, "Host: %s", r->host) && append(curl, &t->fields, buf_text(&host)));
    for (const char *const *field = r->fields; ok && field != NULL && *field != NULL; field++)
        ok = append(curl, &t->fields, *field);
    buf_free(&host);
    return ok && curl->easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->fields) == CURLE_OK;
}

struct fetch *transfer_new(struct fetcher *f, const struct fetch_request *r, struct err *err)
{
    CHECK(strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0 || strcmp(r->method, "POST") == 0);
    if (!has_scheme(r->url, "http://") && !has_scheme(r->url, "https://")) {
        char text[NAME_MAX_SHOWN];
        str_clean(text, sizeof(text), r->url);
        err_set(err, "%s: expected a URL that begins with http:// or https://", text);
        return NULL;
    }
    struct fetch *t = calloc(1, sizeof(*t));
    CHECK(t != NULL);
    t->magic = FETCH_MAGIC;
    t->fetcher = f;
    t->timeout = r->timeout > 0 ? r->timeout : TIMEOUT_NS;
    t->max = r->max > 0 ? r->max : CONTENT_MAX;
    t->body.max = t->max;
    t->heads.max = HEADS_MAX;
    t->name = shown(r->url);
    t->ca_file = r->ca_file != NULL ? strdup(r->ca_file) : NULL;
    list_init(&t->node);
    t->easy = f->curl->easy_init();
    if (t->easy != NULL && set_common(f->curl, t) && set_version(f->curl, t, r->unproven) &&
        set_trust(f->curl, t, r) && set_request(f->curl, t, r) && set_place(f->curl, t, r->connect_to) &&
        set_fields(f->curl, t, r))
        return t;
    err_set(err, "%s: libcurl %s does not take the request", t->name,
            f->curl->version_info(CURLVERSION_NOW)->version);
    transfer_free(t);
    return NULL;
}

void transfer_free(struct fetch *t)
{
    CHECK_MAGIC(t, FETCH_MAGIC);
    const struct curl_library *curl = t->fetcher->curl;
    list_remove(&t->node);
    if (t->easy != NULL)
        curl->easy_cleanup(t->easy);
    curl->slist_free_all(t->fields);
    curl->slist_free_all(t->connect_to);
    buf_free(&t->sent);
    buf_free(&t->heads);
    buf_free(&t->body);
    free(t->name);
    free(t->ca_file);
    t->magic = 0;
    free(t);
}

/* ---- its end ---- */

static int why_not(const struct fetch *t, struct err *err)
{
    char words[CURL_ERROR_SIZE];
    if (t->body_flooded)
        return err_set(err, "%s: the answer has more than %zu bytes of content", t->name, t->max);
    if (t->heads_flooded)
        return err_set(err, "%s: the answer's fields have more than %zu bytes", t->name, HEADS_MAX);
    if (t->distrust.text[0] != '\0')
        return err_set(err, "%s: %s", t->name, t->distrust.text);
    if (t->code == CURLE_OPERATION_TIMEDOUT)
        return err_set(err, "%s: no whole answer within %.3g s", t->name,
                       (double)t->timeout / (double)NSEC_PER_SEC);
    if (t->code == CURLE_SSL_CACERT_BADFILE)
        return err_set(err, "%s: %s could not be read as certificates in PEM", t->name,
                       t->ca_file != NULL ? t->ca_file : "the system's list of CAs");
    str_clean(words, sizeof(words),
              t->trouble[0] != '\0' ? t->trouble : t->fetcher->curl->easy_strerror(t->code));
    return err_set(err, "%s: %s", t->name, words);
}

int transfer_result(struct fetch *t, struct fetch_answer *ret, struct err *err)
{
    CHECK_MAGIC(t, FETCH_MAGIC);
    long status = 0;
    if (t->code != CURLE_OK)
        return why_not(t, err);
    if (t->is_new)
        return err_set(err, "%s: libcurl did not have its server judged", t->name);
    t->fetcher->curl->easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    *ret = (struct fetch_answer){.status = (unsigned)status, .of = t};
    ret->body = (struct str){(const char *)t->body.data, t->body.len};
    ret->type = fetch_field(ret, "Content-Type");
    return 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct str trimmed(const char *from, const char *to)
{
    while (from < to && is_space(*from))
        from++;
    while (to > from && is_space(to[-1]))
        to--;
    return (struct str){from, (size_t)(to - from)};
}

struct str fetch_field(const struct fetch_answer *a, const char *name)
{
    struct str found = {"", 0};
    size_t len = strlen(name);
    const char *p = (const char *)a->of->heads.data, *end = p + a->of->heads.len;
    while (p < end) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        line_end = line_end != NULL ? line_end : end;
        if ((size_t)(line_end - p) > len && p[len] == ':' && strncasecmp(p, name, len) == 0)
            found = trimmed(p + len + 1, line_end);
        p = line_end < end ? line_end + 1 : end;
    }
    return found;
}
