/* SPDX-License-Identifier: Apache-2.0 */
#include "ech/offer.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/hpke.h>
#include <openssl/ssl.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/file.h"
#include "base/hostname.h"
#include "cert/pem.h"
#include "ech/config.h"
#include "ech/source.h"

#define FILE_MAX (64 * 1024)
#define PEM_CONFIG "ECHCONFIG"
#define PEM_BEGIN "-----BEGIN "
#define PARAM "ech="

/* ---- lists ---- */

/* Does the TLS library know all that the config asks for (RFC 9849, 4 and 6.1)? It looks for no more than
 * this. */
static bool is_for_us(const struct ech_config *c)
{
    static const uint16_t aeads[] = {EVP_HPKE_AES_128_GCM, EVP_HPKE_AES_256_GCM, EVP_HPKE_CHACHA20_POLY1305};
    bool suite = false;
    if (c->version != ECH_VERSION || c->kem != EVP_HPKE_DHKEM_X25519_HKDF_SHA256 || c->demands ||
        hostname_check(c->public_name.p, c->public_name.len) != HOSTNAME_OK)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(aeads); i++)
        suite = suite || ech_config_has_suite(c, EVP_HPKE_HKDF_SHA256, aeads[i]);
    return suite;
}

static bool has_one_for_us(struct cursor list)
{
    struct ech_config config;
    while (ech_config_next(&list, &config))
        if (is_for_us(&config))
            return true;
    return false;
}

/* The library looks at what is within a config more closely. */
static bool library_takes(const uint8_t *list, size_t len)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    SSL *ssl = ctx == NULL ? NULL : SSL_new(ctx);
    CHECK(ssl != NULL);
    bool ok = SSL_set1_ech_config_list(ssl, list, len) == 1;
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    ERR_clear_error();
    return ok;
}

static const char *fault_of_list(const uint8_t *data, size_t len)
{
    struct cursor list;
    if (!ech_config_list(data, len, &list) || !library_takes(data, len))
        return "is no ECHConfigList (RFC 9849, 4), neither in PEM (RFC 9934) nor in an HTTPS record nor "
               "in base64 nor as it is";
    if (!has_one_for_us(list))
        return "has no config that can be used here: expected one of version 0xfe0d for X25519, HKDF-SHA256 "
               "and AES-GCM or ChaCha20-Poly1305, without mandatory extensions";
    return NULL;
}

/* ---- files ---- */

static int on_block(void *arg, const char *type, const uint8_t *der, size_t len, struct err *err)
{
    struct buf *list = arg;
    if (strcmp(type, PEM_CONFIG) != 0)
        return 0;
    if (list->len > 0)
        return err_set(err, "has two blocks " PEM_CONFIG ", expected one (RFC 9934)");
    CHECK(buf_append(list, der, len));
    return 0;
}

static int read_pem(const struct buf *text, struct buf *ret, struct err *err)
{
    if (pem_each(text, on_block, ret, err) != 0)
        return -1;
    return ret->len > 0 ? 0 : err_set(err, "has no block " PEM_CONFIG " (RFC 9934)");
}

/* The next word of a zone file, of no length at its end; comments are passed over. */
static struct str next_word(struct str *text)
{
    struct str word = {text->p, 0};
    for (bool comment = false; text->len > 0; text->p++, text->len--) {
        char c = *text->p;
        bool apart = memchr(" \t\r\n", c, 4) != NULL;
        if (word.len > 0 && (apart || c == ';'))
            break;
        comment = c == ';' || (comment && c != '\n');
        if (word.len == 0)
            word.p = text->p;
        if (!apart && !comment)
            word.len++;
    }
    return word;
}

/* The value of the parameter `ech` (RFC 9848) in records as a zone file has them; of no length where there is
 * none. -1 where there are several. */
static int find_param(const struct buf *text, struct str *ret, struct err *err)
{
    struct str left = {(const char *)text->data, text->len}, word;
    *ret = (struct str){0};
    if (memchr(text->data, '\0', text->len) != NULL)
        return 0;
    while ((word = next_word(&left)).len > 0) {
        if (word.len <= strlen(PARAM) || memcmp(word.p, PARAM, strlen(PARAM)) != 0)
            continue;
        struct str value = {word.p + strlen(PARAM), word.len - strlen(PARAM)};
        if (value.len >= 2 && value.p[0] == '"' && value.p[value.len - 1] == '"')
            value = (struct str){value.p + 1, value.len - 2};
        if (ret->p != NULL && (ret->len != value.len || memcmp(ret->p, value.p, value.len) != 0))
            return err_set(err, "has records with different ECH configs: keep those of one server");
        *ret = value;
    }
    return 0;
}

/* In whichever form it is; nothing of an empty text. */
static int read_list(const struct buf *text, struct buf *ret, struct err *err)
{
    struct str value;
    if (text->len == 0)
        return 0;
    if (memmem(text->data, text->len, PEM_BEGIN, strlen(PEM_BEGIN)) != NULL)
        return read_pem(text, ret, err);
    if (find_param(text, &value, err) != 0)
        return -1;
    if (value.len == 0)
        value = (struct str){(const char *)text->data, text->len};
    if (!base64_read_lines(value, ret))
        CHECK(buf_append(ret, text->data, text->len));
    return 0;
}

int ech_list_read(const struct buf *text, struct buf *ret, struct err *err)
{
    if (read_list(text, ret, err) != 0) {
        buf_free(ret);
        ERR_clear_error();
        return -1;
    }
    const char *fault = fault_of_list(ret->data, ret->len);
    if (fault == NULL)
        return 0;
    buf_free(ret);
    return err_set(err, "%s", fault);
}

bool ech_list_is_for_us(const uint8_t *data, size_t len)
{
    return fault_of_list(data, len) == NULL;
}

struct str ech_list_public_name(const uint8_t *data, size_t len)
{
    struct cursor list;
    struct ech_config config;
    if (ech_config_list(data, len, &list))
        while (ech_config_next(&list, &config))
            if (is_for_us(&config))
                return config.public_name;
    return (struct str){0};
}

int ech_offer_load(const struct ech_setting *setting, struct ech_source *source, struct ech_offer *ret,
                   struct err *err)
{
    struct buf text = {0};
    *ret = (struct ech_offer){.off = setting->wish == ECH_WISH_OFF, .required = setting->required};
    CHECK((source != NULL) == (setting->wish == ECH_WISH_AUTO));
    ret->source = source == NULL ? NULL : ech_source_ref(source);
    if (setting->wish != ECH_WISH_FILE)
        return 0;
    if (file_read(setting->path, FILE_MAX, &text, NULL, err) != 0)
        return -1;
    int rc = ech_list_read(&text, &ret->configs, err);
    buf_wipe(&text); /* a key may stand beside */
    return rc == 0 ? 0 : err_prefix(err, "%s", setting->path);
}

void ech_offer_free(struct ech_offer *offer)
{
    buf_free(&offer->configs);
    ech_source_unref(offer->source);
    *offer = (struct ech_offer){0};
}

/* ---- attempts ---- */

void ech_attempt_end(struct ech_attempt *a)
{
    buf_free(&a->configs);
    *a = (struct ech_attempt){0};
}

static void fail(struct ech_attempt *a, const char *why)
{
    a->stage = ECH_FAILED;
    a->why = why;
}

bool ech_attempt_begin(struct ech_attempt *a, const struct ech_offer *offer)
{
    ech_attempt_end(a);
    a->offer = offer;
    if (offer->source != NULL)
        ech_source_read(offer->source, &a->configs);
    else if (offer->configs.len > 0)
        CHECK(buf_append(&a->configs, offer->configs.data, offer->configs.len));
    if (a->configs.len > 0 || !offer->required)
        return true;
    fail(a, "Encrypted ClientHello is required, and no config is known");
    return false;
}

bool ech_offer_is_unknown(const struct ech_offer *offer, struct err *ret_why)
{
    if (offer->source != NULL)
        return ech_source_is_unknown(offer->source, ret_why);
    err_set(ret_why, "there is none");
    return false;
}

void ech_attempt_put(const struct ech_attempt *a, SSL *ssl)
{
    bool off = a != NULL && a->offer != NULL && a->offer->off;
    SSL_set_enable_ech_grease(ssl, !off);
    if (ech_attempt_encrypts(a))
        CHECK(SSL_set1_ech_config_list(ssl, a->configs.data, a->configs.len));
}

bool ech_attempt_encrypts(const struct ech_attempt *a)
{
    return a != NULL && a->configs.len > 0;
}

void ech_attempt_refused(struct ech_attempt *a, const uint8_t *configs, size_t len)
{
    CHECK(ech_attempt_encrypts(a));
    bool told = len > 0 && fault_of_list(configs, len) == NULL;
    buf_free(&a->configs);
    if (a->stage != ECH_FIRST) {
        fail(a, "it refused the ECH config that it had told itself just before: its servers seem to have "
                "different keys; ask who runs it");
    } else if (told) {
        CHECK(buf_append(&a->configs, configs, len));
        a->stage = ECH_ANEW;
        a->again = true;
    } else if (a->offer->required) {
        fail(a,
             "it decrypts no ClientHello any more, and proves so: ask who runs it, or leave out 'require:' "
             "to go on with the name in the clear");
    } else {
        a->stage = ECH_WITHOUT;
        a->again = true;
    }
}

bool ech_attempt_again(struct ech_attempt *a)
{
    bool again = a->again;
    a->again = false;
    return again;
}

const char *ech_attempt_remark(const struct ech_attempt *a)
{
    switch (a->stage) {
    case ECH_ANEW:
        if (a->offer->source != NULL) /* it is asked for anew when its time has come */
            return NULL;
        return "has other ECH keys than the config here says, and told them: get its config anew, for each "
               "connection takes two until then";
    case ECH_WITHOUT:
        return "decrypts no ClientHello any more: the name went in the clear";
    default:
        return NULL;
    }
}

struct str ech_attempt_public_name(const SSL *ssl)
{
    struct str name;
    SSL_get0_ech_name_override(ssl, &name.p, &name.len);
    return name;
}
