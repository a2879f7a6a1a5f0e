/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/check_expect.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/tls_version.h"
#include "probe/quic_probe.h"
#include "probe/server_probe.h"
#include "probe/survey.h"

#define DAYS_MAX 100000
#define SECONDS_OF_DAY 86400

enum what {
    VERSION,
    GROUP,
    CIPHER,
    ALPN,
    SUBJECT,
    ISSUER,
    KEY,
    SIGNATURE,
    STAPLE,
    ECH,
    QUIC,
    QUIC_VERSION,
    QUIC_GROUP,
    QUIC_CIPHER,
    QUIC_ALPN,
    DAYS,
    WHATS
};

static const char *const words[WHATS + 1] = {
    "version", "group", "cipher", "alpn",         "subject",    "issuer",      "key",       "signature",
    "staple",  "ech",   "quic",   "quic-version", "quic-group", "quic-cipher", "quic-alpn", "days"};

static int refuse_word(const char *word, struct err *err)
{
    char hint[STR_HINT_MAX];
    struct buf list = {0};
    for (size_t i = 0; i < WHATS; i++)
        CHECK(buf_printf(&list, "%s%s", i == 0 ? "" : i + 1 < WHATS ? ", " : " or ", words[i]));
    err_set(err, "found '%s', expected %s%s", word, buf_text(&list), str_hint(word, words, hint));
    buf_free(&list);
    return -1;
}

int check_expect_parse(const char *text, struct check_expect *ret, struct err *err)
{
    char word[32];
    const char *at = strchr(text, '=');
    uint64_t days;
    if (at == NULL)
        return err_set(err, "expected WHAT=VALUE, such as group=X25519MLKEM768");
    str_copy(word, sizeof(word), text, (size_t)(at - text));
    *ret = (struct check_expect){.text = text, .value = at + 1};
    while (ret->what < WHATS && strcmp(words[ret->what], word) != 0)
        ret->what++;
    if (ret->what == WHATS)
        return refuse_word(word, err);
    if (ret->what == DAYS && !str_u64(ret->value, DAYS_MAX, &days))
        return err_set(err, "found '%s', expected a number of days", ret->value);
    return 0;
}

static const char *text_of_quic(enum what what, const struct quic_probe_result *q, char *space)
{
    if (q == NULL)
        return NULL;
    switch (what) {
    case QUIC:
        return probe_outcome_word(q->shake.outcome);
    case QUIC_VERSION:
        return q->shake.shook_hands ? quic_version_text(q->handshake.version, space) : NULL;
    case QUIC_GROUP:
        return q->shake.group;
    case QUIC_CIPHER:
        return q->shake.cipher;
    default:
        return q->shake.alpn;
    }
}

static const char *text_of(enum what what, const struct check_seen *seen, char *space)
{
    const struct server_probe_result *r = seen->first;
    switch (what) {
    case VERSION:
        return tls_version_word(r->version);
    case GROUP:
        return r->group;
    case CIPHER:
        return r->cipher;
    case ALPN:
        return r->alpn;
    case SUBJECT:
        return r->certificate.subject;
    case ISSUER:
        return r->certificate.issuer;
    case KEY:
        return r->certificate.key;
    case SIGNATURE:
        return r->certificate.signature;
    case STAPLE:
        return shown_staple_word(r->shown.staple);
    case ECH:
        return seen->facts == NULL || !seen->facts->ech.asked ? NULL
                                                              : ech_finding_word(seen->facts->ech.finding);
    default:
        return text_of_quic(what, seen->quic, space);
    }
}

static bool days_hold(const struct check_expect *e, const struct server_probe_result *r, struct err *ret)
{
    uint64_t least;
    CHECK(str_u64(e->value, DAYS_MAX, &least));
    if (r->certificate.not_after == INT64_MIN) {
        err_set(ret, "%s", "a time that cannot be read");
        return false;
    }
    int64_t left = r->certificate.not_after - clock_wall() / NSEC_PER_SEC;
    err_set(ret, "%lld", (long long)(left / SECONDS_OF_DAY));
    return left >= (int64_t)least * SECONDS_OF_DAY;
}

bool check_expect_holds(const struct check_expect *e, const struct check_seen *seen, struct err *ret_found)
{
    if (e->what == DAYS)
        return days_hold(e, seen->first, ret_found);
    char space[QUIC_VERSION_TEXT_MAX];
    const char *found = text_of((enum what)e->what, seen, space);
    err_set(ret_found, "%s", found == NULL || *found == '\0' ? "none" : found);
    return str_glob(e->value, ret_found->text);
}
