/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/proof.h"

#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <sys/socket.h>

#include "base/check.h"
#include "base/hostname.h"
#include "cert/trust.h"
#include "fetch/fetch_internal.h"

#define SYSTEM "system"

#if LIBCURL_VERSION_NUM < 0x075000 /* the library may be newer than its header */
#define CURLOPT_PREREQFUNCTION ((CURLoption)(CURLOPTTYPE_FUNCTIONPOINT + 312))
#define CURLOPT_PREREQDATA ((CURLoption)(CURLOPTTYPE_OBJECTPOINT + 313))
#define CURL_PREREQFUNC_OK 0
#define CURL_PREREQFUNC_ABORT 1
#endif

#ifdef CURLU_PUNYCODE
#define HOST_FLAGS CURLU_PUNYCODE /* as certificates have names, and as libcurl sends it */
#else
#define HOST_FLAGS 0
#endif

/* When the request ends, however it does, its connection is closed, or kept for those that follow. */
static bool keep_connection(struct fetch *t, bool keep)
{
    return t->fetcher->curl->easy_setopt(t->easy, CURLOPT_FORBID_REUSE, keep ? 0L : 1L) == CURLE_OK;
}

/* What libcurl has opened is new, and has not been judged. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct fetch *t = arg;
    (void)purpose;
    t->is_new = true;
    if (!keep_connection(t, false))
        return CURL_SOCKET_BAD;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* ---- whom the connection is for ---- */

/* A part of the URL that is being asked, where redirects have led. False: it is none, or too long. */
static bool part_of(const struct curl_library *curl, const CURLU *url, CURLUPart part, unsigned flags,
                    char *ret, size_t size)
{
    char *text = NULL;
    bool ok = curl->url_get(url, part, &text, flags) == CURLUE_OK && str_copy(ret, size, text, strlen(text));
    curl->free(text);
    return ok;
}

/* As libcurl itself reads it, so that nothing can be read in two ways. */
static bool read_place(const struct fetch *t, char scheme[8], char host[HOSTNAME_MAX + 3])
{
    const struct curl_library *curl = t->fetcher->curl;
    char *asked = NULL;
    CURLU *url = curl->url();
    bool ok = url != NULL && curl->easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &asked) == CURLE_OK &&
              asked != NULL && curl->url_set(url, CURLUPART_URL, asked, CURLU_GUESS_SCHEME) == CURLUE_OK &&
              part_of(curl, url, CURLUPART_SCHEME, 0, scheme, 8) &&
              part_of(curl, url, CURLUPART_HOST, HOST_FLAGS, host, HOSTNAME_MAX + 3);
    curl->url_cleanup(url);
    if (!ok)
        return false;
    size_t len = strlen(host);
    if (host[0] == '[' && host[len - 1] == ']') { /* an IPv6 address */
        host[len - 1] = '\0';
        memmove(host, host + 1, len - 1);
    }
    return true;
}

/* ---- what it has shown ---- */

/* libcurl tells of each certificate in lines "KEY:VALUE", and of its versions some leave out a line of more
 * than 100000 bytes. False where a certificate is not told of: the one behind it must not take the place of
 * what the handshake was made with. */
static bool gather_certificate(const struct curl_slist *line, struct buf *ret)
{
    unsigned found = 0;
    for (; line != NULL; line = line->next)
        if (strncmp(line->data, "Cert:", 5) == 0) {
            CHECK(buf_printf(ret, "%s\n", line->data + 5));
            found++;
        }
    return found == 1;
}

/* Nothing where it is not known as a whole. */
static void gather_chain(const struct curl_certinfo *shown, struct buf *ret)
{
    bool whole = true;
    for (int i = 0; whole && i < shown->num_of_certs; i++)
        whole = gather_certificate(shown->certinfo[i], ret);
    if (!whole)
        ret->len = 0;
}

static int judge_chain(const struct fetch *t, const char *host, const struct buf *chain, struct err *err)
{
    const char *ca = t->ca_file != NULL ? t->ca_file : SYSTEM;
    if (chain->len == 0)
        return err_set(err, "what certificates the server has shown is not known");
    struct trust *trust = trust_load(&(struct trust_files){.name = ca, .ca = &ca, .ca_len = 1}, err);
    int rc = trust == NULL ? -1 : trust_verify_pem(trust, chain, host, time(NULL), err);
    trust_unref(trust);
    return rc;
}

static int judge(const struct fetch *t, struct err *err)
{
    char scheme[8], host[HOSTNAME_MAX + 3];
    const struct curl_certinfo *shown = NULL;
    struct buf chain = {.max = 0};
    if (!read_place(t, scheme, host))
        return err_set(err, "the name that the server must prove cannot be told");
    if (strcasecmp(scheme, "http") == 0)
        return 0;
    if (t->fetcher->curl->easy_getinfo(t->easy, CURLINFO_CERTINFO, &shown) == CURLE_OK && shown != NULL)
        gather_chain(shown, &chain);
    int rc = judge_chain(t, host, &chain, err);
    buf_free(&chain);
    return rc;
}

static int on_connected(void *arg, char *to, char *from, int to_port, int from_port)
{
    struct fetch *t = arg;
    (void)to, (void)from, (void)to_port, (void)from_port;
    bool good = !t->is_new || (judge(t, &t->distrust) == 0 && keep_connection(t, true));
    t->is_new = false;
    if (good)
        return CURL_PREREQFUNC_OK;
    t->fetcher->curl->easy_setopt(t->easy, CURLOPT_FORBID_REUSE, 1L); /* by who takes it for judged */
    return CURL_PREREQFUNC_ABORT;
}

/* Without tickets every new connection shows certificates. What a library may not know comes first: where it
 * refuses that nothing is new to us, and so nothing is judged. Its own judgement is given up last. */
static bool judges(const struct curl_library *curl, struct fetch *t)
{
    return curl->easy_setopt(t->easy, CURLOPT_CERTINFO, 1L) == CURLE_OK &&
           curl->easy_setopt(t->easy, CURLOPT_PREREQDATA, t) == CURLE_OK &&
           curl->easy_setopt(t->easy, CURLOPT_PREREQFUNCTION, on_connected) == CURLE_OK &&
           curl->easy_setopt(t->easy, CURLOPT_SSL_SESSIONID_CACHE, 0L) == CURLE_OK &&
           curl->easy_setopt(t->easy, CURLOPT_OPENSOCKETDATA, t) == CURLE_OK &&
           curl->easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, on_open) == CURLE_OK &&
           curl->easy_setopt(t->easy, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK;
}

/* ---- for others ---- */

bool proof_ask(struct fetch *t)
{
    const struct curl_library *curl = t->fetcher->curl;
    bool ours = judges(curl, t);
    if (!ours && t->ca_file == NULL)
        return true;
    /* Ours: the file tells libcurl which connections are alike. Its own: the folder of the system's would be
     * believed beside the file. */
    return curl->easy_setopt(t->easy, CURLOPT_CAINFO, t->ca_file) == CURLE_OK &&
           curl->easy_setopt(t->easy, CURLOPT_CAPATH, NULL) == CURLE_OK;
}

/* That the name is not asked for either keeps such connections from all others. */
bool proof_waive(struct fetch *t)
{
    const struct curl_library *curl = t->fetcher->curl;
    return curl->easy_setopt(t->easy, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
           curl->easy_setopt(t->easy, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK;
}
