/* SPDX-License-Identifier: Apache-2.0 */
#include "hello/would.h"

#include "base/check.h"
#include "base/str.h"
#include "base/tls_group.h"
#include "base/tls_version.h"

#define TLS_1_2 0x0303
#define TLS_1_3 0x0304

static const struct {
    const char *name;
    uint16_t code;
} known[] = {
#define X(name, code) {name, code},
#include "tables/ciphers.def"
#undef X
};

/* IANA has given 0x13XX to the suites of TLS 1.3, which are of no other version. */
static bool is_of_tls13(uint16_t cipher)
{
    return cipher >> 8 == 0x13;
}

/* The question --------------------------------------------------------------------------------------- */

static int read_ciphers(const char *list, struct would *ret, struct err *err)
{
    _Static_assert(ARRAY_LEN(known) <= WOULD_CIPHERS_MAX, "all that there are have room");
    const char *names[ARRAY_LEN(known) + 1] = {NULL};
    char hint[STR_HINT_MAX];
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        names[i] = known[i].name;
    for (size_t len; *list != '\0'; list += len + (list[len] != '\0')) {
        char name[64];
        size_t i = 0;
        len = strcspn(list, ",:");
        str_copy(name, sizeof(name), list, len);
        while (i < ARRAY_LEN(known) && strcmp(known[i].name, name) != 0)
            i++;
        if (i == ARRAY_LEN(known))
            return err_set(err, "ciphers: found '%s', expected a cipher suite by its IANA name, such as %s%s",
                           name, known[0].name, str_hint(name, names, hint));
        if (ret->count == WOULD_CIPHERS_MAX)
            return err_set(err, "ciphers: more than %d", WOULD_CIPHERS_MAX);
        ret->ciphers[ret->count++] = known[i].code;
    }
    return ret->count > 0 ? 0
                          : err_set(err, "ciphers: found none, expected their IANA names, ':' between two");
}

static bool read_min(const char *text, struct would *ret)
{
    size_t key = strcspn(text, "=");
    const char *version = text[key] == '=' ? text + key + 1 : "";
    if (!tls_version_is_min(text, key) || (strcmp(version, "1.2") != 0 && strcmp(version, "1.3") != 0))
        return false;
    ret->kind = WOULD_MIN;
    ret->min = version[2] == '2' ? TLS_1_2 : TLS_1_3;
    return true;
}

int would_parse(const char *text, struct would *ret, struct err *err)
{
    static const char ciphers[] = "ciphers=";
    *ret = (struct would){0};
    if (read_min(text, ret))
        return 0;
    if (strcmp(text, "pq=require") == 0) {
        ret->kind = WOULD_PQ;
        return 0;
    }
    if (strncmp(text, ciphers, strlen(ciphers)) == 0) {
        ret->kind = WOULD_CIPHERS;
        return read_ciphers(text + strlen(ciphers), ret, err);
    }
    return err_set(
        err, "found '%s', expected min_version=1.2, min_version=1.3, pq=require or ciphers=NAME:NAME", text);
}

/* The offer ------------------------------------------------------------------------------------------ */

struct would_offer would_offer_of(const struct hello *h)
{
    struct would_offer offer = {.ciphers = h->cipher_suites};
    struct cursor groups = h->groups;
    uint16_t group;
    /* Without supported_versions its own version is the highest of all up to it. */
    bool listed = cursor_left(&h->versions) > 0;
    offer.tls12 = listed ? hello_has_u16(h->versions, TLS_1_2) : h->legacy_version >= TLS_1_2;
    offer.tls13 = listed && hello_has_u16(h->versions, TLS_1_3);
    while (cursor_u16(&groups, &group))
        offer.pq = offer.pq || tls_group_is_hybrid(group);
    return offer;
}

/* The verdict ---------------------------------------------------------------------------------------- */

static bool is_known(uint16_t cipher)
{
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].code == cipher)
            return true;
    return false;
}

/* Is it left? Where none of its version is named, those that the door knows are. */
static bool is_left(const struct would *w, uint16_t cipher)
{
    bool others = false;
    for (size_t i = 0; i < w->count; i++) {
        if (w->ciphers[i] == cipher)
            return true;
        others = others || is_of_tls13(w->ciphers[i]) == is_of_tls13(cipher);
    }
    return !others && is_known(cipher);
}

/* The version comes first: it is the highest that both speak, whatever suites are left of it. */
static enum would_verdict judge_ciphers(const struct would *w, const struct would_offer *offer)
{
    struct cursor list = offer->ciphers;
    uint16_t cipher;
    if (cursor_left(&list) == 0)
        return WOULD_UNKNOWN;
    while (cursor_u16(&list, &cipher))
        if (is_of_tls13(cipher) == offer->tls13 && (offer->tls13 || offer->tls12) && is_left(w, cipher))
            return WOULD_WORK;
    return WOULD_BREAK_CIPHER;
}

enum would_verdict would_judge(const struct would *w, const struct would_offer *offer)
{
    switch (w->kind) {
    case WOULD_MIN:
        return offer->tls13 || (w->min == TLS_1_2 && offer->tls12) ? WOULD_WORK : WOULD_BREAK_VERSION;
    case WOULD_PQ:
        return offer->tls13 && offer->pq ? WOULD_WORK : WOULD_BREAK_GROUP;
    case WOULD_CIPHERS:
        return judge_ciphers(w, offer);
    }
    return WOULD_UNKNOWN;
}

const char *would_text(const struct would *w, enum would_verdict verdict)
{
    static const char *const texts[WOULD_VERDICTS] = {
        [WOULD_WORK] = "gets through",
        [WOULD_BREAK_VERSION] = "offers no TLS 1.3",
        [WOULD_BREAK_GROUP] = "offers no post-quantum group",
        [WOULD_BREAK_CIPHER] = "offers none of these cipher suites",
        [WOULD_UNKNOWN] = "its cipher suites are not known",
    };
    CHECK(verdict < WOULD_VERDICTS);
    if (verdict == WOULD_BREAK_VERSION && w->min == TLS_1_2)
        return "offers neither TLS 1.2 nor 1.3";
    return texts[verdict];
}
