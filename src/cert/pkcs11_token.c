/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: which one a URI means, and getting into it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/file.h"
#include "cert/pem.h"
#include "cert/pkcs11.h"
#include "cert/pkcs11_internal.h"

#define PREFIX "pkcs11:"
#define PIN_MAX 256
#define SLOTS_MAX 64
#define ATTRIBUTES_MAX 8

bool pkcs11_is_uri(const char *text)
{
    return strncmp(text, PREFIX, strlen(PREFIX)) == 0;
}

bool pkcs11_asks_pin(const char *text)
{
    P11KitUri *uri = p11_kit_uri_new();
    CHECK(uri != NULL);
    bool asks = p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, uri) == P11_KIT_URI_OK &&
                p11_kit_uri_get_pin_source(uri) == NULL;
    p11_kit_uri_free(uri);
    return asks;
}

void token_key_free(struct token_key *k)
{
    if (k == NULL)
        return;
    CHECK_MAGIC(k, TOKEN_KEY_MAGIC);
    if (k->module != NULL)
        k->module->C_CloseSession(k->session);
    if (k->modules != NULL)
        p11_kit_modules_finalize_and_release(k->modules);
    pthread_mutex_destroy(&k->lock);
    k->magic = 0;
    free(k);
}

/* ---- the PIN ---- */

static int read_pin_file(const char *source, struct buf *ret, struct err *err)
{
    mode_t mode = 0;
    source += strncmp(source, "file:", 5) == 0 ? 5 : 0;
    if (file_read(source, PIN_MAX, ret, &mode, err) < 0)
        return -1;
    if (!pem_key_is_kept(mode))
        return err_set(err, "%s: other users may use this PIN (mode %04o); do: chmod 600 %s", source,
                       (unsigned)mode, source);
    while (ret->len > 0 && (ret->data[ret->len - 1] == '\n' || ret->data[ret->len - 1] == '\r'))
        ret->len--;
    return 0;
}

static int read_pin(const struct token_search *search, struct str given, struct buf *ret, struct err *err)
{
    const char *source = p11_kit_uri_get_pin_source(search->uri);
    if (p11_kit_uri_get_pin_value(search->uri) != NULL)
        return err_set(
            err,
            "%s: a PIN in the URI (pin-value) can be read by whoever reads it; put it into a file of its "
            "own and say pin-source=file:PATH",
            search->label);
    if (source != NULL)
        return read_pin_file(source, ret, err);
    return buf_append(ret, given.p, given.len) ? 0 : err_set(err, "out of memory");
}

/* ---- finding ---- */

CK_ULONG token_objects(const struct token_key *k, CK_ATTRIBUTE *wanted, CK_ULONG count, CK_OBJECT_HANDLE *ret)
{
    CK_OBJECT_HANDLE found[2] = {0};
    CK_ULONG n = 0;
    if (k->module->C_FindObjectsInit(k->session, wanted, count) != CKR_OK)
        return 0;
    if (k->module->C_FindObjects(k->session, found, 2, &n) != CKR_OK)
        n = 0;
    k->module->C_FindObjectsFinal(k->session);
    *ret = found[0];
    return n;
}

CK_ULONG token_look(const struct token_key *k, const struct token_search *search, CK_OBJECT_HANDLE *ret)
{
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE wanted[ATTRIBUTES_MAX] = {{CKA_CLASS, &class, sizeof(class)}};
    CK_ULONG n = 1, given = 0;
    CK_ATTRIBUTE_PTR attributes = p11_kit_uri_get_attributes(search->uri, &given);
    for (CK_ULONG i = 0; i < given && n < ARRAY_LEN(wanted); i++)
        if (attributes[i].type != CKA_CLASS)
            wanted[n++] = attributes[i];
    return token_objects(k, wanted, n, ret);
}

/* In that slot, if its token is one that the URI means. As `visit` says. */
static int look_in_slot(struct token_key *k, CK_SLOT_ID slot, const struct token_search *search,
                        const struct buf *pin, struct err *err)
{
    CK_TOKEN_INFO token;
    if (k->module->C_GetTokenInfo(slot, &token) != CKR_OK ||
        !p11_kit_uri_match_token_info(search->uri, &token) ||
        k->module->C_OpenSession(slot, CKF_SERIAL_SESSION | search->flags, NULL, NULL, &k->session) != CKR_OK)
        return 0;
    CK_RV rv = pin->len == 0 ? CKR_OK : k->module->C_Login(k->session, CKU_USER, pin->data, pin->len);
    bool in = rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN;
    int found =
        in ? search->visit(k, search, err)
           : err_set(err, "%s: the token does not take the PIN: %s", search->label, p11_kit_strerror(rv));
    if (found != 1)
        k->module->C_CloseSession(k->session);
    return found;
}

static int look_in_module(struct token_key *k, const struct token_search *search, const struct buf *pin,
                          struct err *err)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;
    CK_INFO info;
    int found = 0;
    if (k->module->C_GetInfo(&info) != CKR_OK || !p11_kit_uri_match_module_info(search->uri, &info) ||
        k->module->C_GetSlotList(CK_TRUE, slots, &count) != CKR_OK)
        return 0;
    for (CK_ULONG i = 0; i < count && found == 0; i++)
        found = look_in_slot(k, slots[i], search, pin, err);
    return found;
}

static int look(struct token_key *k, const struct token_search *search, const struct buf *pin,
                const char *none, struct err *err)
{
    int found = 0;
    k->modules = p11_kit_modules_load_and_initialize(0);
    if (k->modules == NULL)
        return err_set(err, "%s: p11-kit has no modules: %s", search->label, p11_kit_message());
    for (CK_FUNCTION_LIST **m = k->modules; *m != NULL && found == 0; m++) {
        k->module = *m;
        found = look_in_module(k, search, pin, err);
    }
    if (found != 1)
        k->module = NULL;
    if (found == 0)
        return err_set(err, "%s: %s", search->label, none);
    return found == 1 ? 0 : -1;
}

static int look_with_pin(struct token_key *k, const char *text, struct str given,
                         const struct token_search *search, const char *none, struct err *err)
{
    struct buf pin = {0};
    if (p11_kit_uri_parse(text, P11_KIT_URI_FOR_OBJECT_ON_TOKEN_AND_MODULE, search->uri) != P11_KIT_URI_OK)
        return err_set(
            err,
            "%s: not a PKCS#11 URI (RFC 7512); expected pkcs11:token=NAME;object=NAME?pin-source=file:PATH",
            search->label);
    int rc = read_pin(search, given, &pin, err);
    if (rc == 0)
        rc = look(k, search, &pin, none, err);
    buf_wipe(&pin);
    return rc;
}

struct token_key *token_find(const char *text, struct str pin, struct token_search *search, const char *none,
                             struct err *err)
{
    struct token_key *k = calloc(1, sizeof(*k));
    search->uri = p11_kit_uri_new();
    CHECK(k != NULL && search->uri != NULL);
    k->magic = TOKEN_KEY_MAGIC;
    pthread_mutex_init(&k->lock, NULL);
    str_copy(search->label, sizeof(search->label), text, MIN(strcspn(text, "?"), sizeof(search->label) - 1));
    if (look_with_pin(k, text, pin, search, none, err) < 0) {
        token_key_free(k);
        k = NULL;
    }
    p11_kit_uri_free(search->uri);
    search->uri = NULL;
    return k;
}
