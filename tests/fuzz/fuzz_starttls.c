/* SPDX-License-Identifier: Apache-2.0 */
/* starttls/: every built-in protocol in each of its sections, against a hostile peer. The first byte chooses
 * the protocol and whether TLS is required (or the client greeted), the second the section and how the peer's
 * bytes are cut: how they are cut must not matter. */
#include <string.h>

#include "base/check.h"
#include "starttls/starttls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define REQUIRED 0x80

struct outcome {
    enum starttls_status status;
    enum starttls_failure failure;
    size_t used;
    struct buf say;
    bool all_come; /* was the peer's last byte there when it ended? */
};

static const char *const sections[] = {"ask",    "answer",   "greet",      "settle",
                                       "resume", "identify", "unavailable"};

static void set(struct starttls_run *r, const char *var, const char *value)
{
    CHECK(starttls_run_set(r, var, (struct str){value, strlen(value)}));
}

static struct outcome play(const struct starttls *p, int section, bool required, const uint8_t *data,
                           size_t len, size_t piece)
{
    struct outcome o = {.status = STARTTLS_MORE};
    struct starttls_run *r = starttls_run_new(p);
    set(r, "me", "door.example");
    set(r, "name", "host.example");
    set(r, "user", "al ice");
    set(r, "why", "not now");
    if (required) {
        set(r, "required", "yes");
        set(r, "greeted", "yes");
    }
    starttls_run_begin(r, section, &o.say);
    for (size_t come = MIN(piece, len); o.status == STARTTLS_MORE; come = MIN(come + piece, len)) {
        size_t used;
        o.status = starttls_run_step(r, data + o.used, come - o.used, &used, &o.say);
        o.used += used;
        CHECK(o.used <= come && come - o.used <= STARTTLS_UNIT_MAX + piece);
        o.all_come = come == len;
        if (o.all_come)
            break;
    }
    o.failure = starttls_run_failure(r);
    CHECK((o.status == STARTTLS_FAILED) == (o.failure != STARTTLS_NO_FAILURE));
    CHECK((o.status == STARTTLS_FAILED) == (starttls_run_text(r)[0] != '\0'));
    for (const char *c = starttls_run_text(r); *c != '\0'; c++)
        CHECK(*c >= ' ' && *c < 127);
    CHECK(o.used <= STARTTLS_BYTES_MAX);
    CHECK(o.status != STARTTLS_PLAIN || starttls_run_onward(r) < 16);
    starttls_run_free(r);
    return o;
}

/* The same bytes where TLS was to begin: errors show them. */
static void found_in_the_clear(const uint8_t *data, size_t len)
{
    char text[STARTTLS_CLEAR_MAX];
    struct str found = {(const char *)data, len};
    for (const char *c = starttls_found_clear(found, "--starttls ", text); *c != '\0'; c++)
        CHECK(*c >= ' ' && *c < 127);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t n = 0;
    const char *const *names = starttls_builtin_names();
    if (len < 2)
        return 0;
    found_in_the_clear(data + 2, len - 2);
    while (names[n] != NULL)
        n++;
    CHECK(n > 0);
    const struct starttls *p = starttls_builtin(names[(data[0] & ~REQUIRED) % n]);
    int section = starttls_section_named(p, sections[data[1] % ARRAY_LEN(sections)]);
    bool required = (data[0] & REQUIRED) != 0;
    if (section < 0)
        return 0;
    struct outcome whole = play(p, section, required, data + 2, len - 2, len);
    struct outcome cut = play(p, section, required, data + 2, len - 2, 1u + data[1] / ARRAY_LEN(sections));
    /* What stands behind the switch is judged by what has come: in pieces it may come later. */
    if (whole.failure == STARTTLS_INJECTED)
        CHECK(cut.status == STARTTLS_SWITCH || cut.failure == STARTTLS_INJECTED);
    else
        CHECK(whole.status == cut.status && whole.failure == cut.failure);
    CHECK(whole.used == cut.used && whole.say.len == cut.say.len);
    CHECK(whole.say.len == 0 || memcmp(whole.say.data, cut.say.data, whole.say.len) == 0);
    buf_free(&whole.say);
    buf_free(&cut.say);
    return 0;
}
