/* SPDX-License-Identifier: Apache-2.0 */
#include "ca/key_place.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/mem.h>

#include "base/check.h"
#include "base/file.h"
#include "ca/ca_internal.h"
#include "cert/key.h"
#include "cert/pkcs11.h"

#define KEY_FILE_MAX (256 * 1024)

enum key_place_kind key_place_look(const char *path, char ret_uri[KEY_URI_MAX])
{
    struct buf text = {0};
    struct err err;
    ret_uri[0] = '\0';
    if (file_read(path, KEY_FILE_MAX, &text, NULL, &err) == 0 && text.len < KEY_URI_MAX) {
        size_t len = 0;
        while (len < text.len && text.data[len] > ' ')
            len++;
        if (!str_copy(ret_uri, KEY_URI_MAX, (const char *)text.data, len) || !pkcs11_is_uri(ret_uri))
            OPENSSL_cleanse(ret_uri, KEY_URI_MAX);
    }
    buf_wipe(&text);
    if (ret_uri[0] != '\0')
        return KEY_PLACE_TOKEN;
    return key_is_encrypted(path) ? KEY_PLACE_ENCRYPTED : KEY_PLACE_PLAIN;
}

EVP_PKEY *key_place_read(const char *path, const struct key_secrets *secrets, struct err *err)
{
    static const struct key_secrets none = {0};
    char uri[KEY_URI_MAX];
    if (secrets == NULL)
        secrets = &none;
    if (key_place_look(path, uri) != KEY_PLACE_TOKEN)
        return key_read(path, secrets->passphrase, err);
    EVP_PKEY *key = pkcs11_read_key(uri, secrets->pin, err);
    if (key == NULL)
        err_prefix(err, "%s", path);
    return key;
}

int key_place_write_uri(const char *path, const char *uri, struct err *err)
{
    struct buf line = {0};
    int rc = strlen(uri) < KEY_URI_MAX - 1 && buf_printf(&line, "%s\n", uri)
                 ? file_create_atomic(path, 0600, line.data, line.len, err)
                 : err_set(err, "%s: a URI of more than %d bytes", path, KEY_URI_MAX - 2);
    buf_free(&line);
    return rc;
}

static int make_in_token(const char *uri, enum key_kind kind, struct str pin, struct err *err)
{
    int type, parameter;
    key_type(kind, &type, &parameter);
    if (type != EVP_PKEY_EC && type != EVP_PKEY_RSA)
        return err_set(
            err,
            "%.200s: no %s key can be made in a token: PKCS#11 modules have P-256, P-384, RSA-2048 and "
            "RSA-3072; keep a key of that kind in its file",
            uri, key_kind_name(kind));
    return pkcs11_make_key(uri, pin, type, parameter, err);
}

EVP_PKEY *key_place_take(const char *uri, bool make, enum key_kind kind, struct str pin, struct err *err)
{
    EVP_PKEY *key;
    if (uri == NULL) {
        key = key_make(kind);
        if (key == NULL)
            err_set(err, "no key could be made");
        return key;
    }
    if (!pkcs11_is_uri(uri)) {
        err_set(err, "'%.200s' is no key in a token: expected pkcs11:token=NAME;object=NAME", uri);
        return NULL;
    }
    if (make && make_in_token(uri, kind, pin, err) < 0)
        return NULL;
    key = pkcs11_read_key(uri, pin, err);
    if (key != NULL && ca_check_key(key, err) < 0) {
        err_prefix(err, "%.200s", uri);
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}
