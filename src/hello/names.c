/* SPDX-License-Identifier: Apache-2.0 */
#include "hello/names.h"

#include <stddef.h>
#include <stdio.h>

#include "base/check.h"

struct name {
    uint16_t code;
    const char *text;
};

static const struct name ciphers[] = {
#define X(code, name) {code, name},
#include "tables/iana_ciphers.def"
#undef X
};

static const struct name groups[] = {
#define X(name, code, hybrid, remark) {code, name},
#include "tables/groups.def"
#undef X
#define X(code, name) {code, name},
#include "tables/iana_groups.def"
#undef X
};

static const struct name signatures[] = {
#define X(code, name) {code, name},
#include "tables/iana_signatures.def"
#undef X
};

static const struct name alerts[] = {
#define X(NAME, name, code) {code, #name},
#include "tables/alerts.def"
#undef X
};

static const struct name versions[] = {
    {0x0300, "SSL 3.0"}, {0x0301, "TLS 1.0"}, {0x0302, "TLS 1.1"}, {0x0303, "TLS 1.2"}, {0x0304, "TLS 1.3"}};
static const struct name kdfs[] = {{1, "HKDF-SHA256"}, {2, "HKDF-SHA384"}, {3, "HKDF-SHA512"}};
static const struct name aeads[] = {{1, "AES-128-GCM"}, {2, "AES-256-GCM"}, {3, "ChaCha20Poly1305"}};

static const char *find(const struct name *names, size_t n, uint16_t code)
{
    for (size_t i = 0; i < n; i++)
        if (names[i].code == code)
            return names[i].text;
    return NULL;
}

static const char *name_of(const struct name *names, size_t n, uint16_t code, char number[HELLO_NUMBER_MAX])
{
    const char *text = find(names, n, code);
    if (text == NULL)
        snprintf(number, HELLO_NUMBER_MAX, "0x%04x", code);
    return text != NULL ? text : number;
}

const char *hello_cipher_name(uint16_t code, char number[HELLO_NUMBER_MAX])
{
    return name_of(ciphers, ARRAY_LEN(ciphers), code, number);
}

const char *hello_group_name(uint16_t code, char number[HELLO_NUMBER_MAX])
{
    return name_of(groups, ARRAY_LEN(groups), code, number);
}

const char *hello_signature_name(uint16_t code, char number[HELLO_NUMBER_MAX])
{
    return name_of(signatures, ARRAY_LEN(signatures), code, number);
}

const char *hello_version_name(uint16_t code, char number[HELLO_NUMBER_MAX])
{
    return name_of(versions, ARRAY_LEN(versions), code, number);
}

const char *hello_kdf_name(uint16_t code, char number[HELLO_NUMBER_MAX])
{
    return name_of(kdfs, ARRAY_LEN(kdfs), code, number);
}

const char *hello_aead_name(uint16_t code, char number[HELLO_NUMBER_MAX])
{
    return name_of(aeads, ARRAY_LEN(aeads), code, number);
}

const char *hello_alert_name(uint8_t code, char number[HELLO_NUMBER_MAX])
{
    const char *text = find(alerts, ARRAY_LEN(alerts), code);
    if (text == NULL)
        snprintf(number, HELLO_NUMBER_MAX, "%u", code);
    return text != NULL ? text : number;
}
