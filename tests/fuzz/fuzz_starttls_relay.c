/* SPDX-License-Identifier: Apache-2.0 */
/* starttls/relay.h: every relay of the built-in protocols, between a hostile client and a hostile server. The
 * first byte chooses the protocol and whether TLS is required (and the client known), the second the section
 * and how what is said is cut, which must not matter. Then come parts: a byte with the side and the length,
 * and what it says. */
#include <string.h>

#include "base/check.h"
#include "starttls/relay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define REQUIRED 0x80
#define FAR_SIDE 0x80

struct talk {
    struct starttls_relay *relay;
    enum starttls_status status;
    struct buf said[2];
    struct buf heard[2];
    size_t consumed[2];
};

static bool goes_on(const struct talk *t)
{
    return t->status == STARTTLS_MORE || t->status == STARTTLS_SWITCH;
}

/* No more than what may be said in advance, and what one unit adds. */
static void check_bound(size_t before, const struct buf *b)
{
    CHECK(b->len <= before + 2 * STARTTLS_MEMORY_MAX + 2 * STARTTLS_UNIT_MAX);
}

static void step(struct talk *t, enum relay_side side)
{
    struct buf *said = &t->said[side];
    for (size_t used = 1; used > 0 && said->len > 0 && goes_on(t);) {
        struct buf back = {0}, onward = {0};
        t->status = starttls_relay_step(t->relay, side, said->data, said->len, &used, &back, &onward);
        CHECK(used <= said->len);
        check_bound(0, &back);
        check_bound(0, &onward);
        buf_consume(said, used);
        t->consumed[side] += used;
        CHECK(back.len == 0 || buf_append(&t->heard[side], back.data, back.len));
        CHECK(onward.len == 0 || buf_append(&t->heard[!side], onward.data, onward.len));
        buf_free(&back);
        buf_free(&onward);
        used += t->status == STARTTLS_SWITCH;
        CHECK(said->len < STARTTLS_UNIT_MAX || used > 0 || !goes_on(t) ||
              (side == RELAY_NEAR && starttls_relay_near_waits(t->relay)));
    }
}

static struct talk play(const struct starttls *p, enum starttls_section section, bool required,
                        const uint8_t *data, size_t len, size_t piece)
{
    struct talk t = {.relay = starttls_relay_new(p, section)};
    struct starttls_run *run = starttls_relay_run(t.relay);
    CHECK(starttls_run_set(run, "required", (struct str){"yes", required ? 3 : 0}));
    CHECK(starttls_run_set(run, "user", (struct str){"alice", required ? 5 : 0}));
    for (size_t at = 0; at < len && goes_on(&t);) {
        enum relay_side side = (data[at] & FAR_SIDE) != 0 ? RELAY_FAR : RELAY_NEAR;
        size_t n = MIN((size_t)(data[at] & ~FAR_SIDE), len - at - 1);
        at++;
        for (size_t done = 0; done < n; done += piece) {
            CHECK(buf_append(&t.said[side], data + at + done, MIN(piece, n - done)));
            step(&t, side);
        }
        if (side == RELAY_FAR) /* what the client has said may have waited for it */
            step(&t, RELAY_NEAR);
        at += n;
    }
    CHECK((t.status == STARTTLS_FAILED) == (starttls_run_failure(run) != STARTTLS_NO_FAILURE));
    CHECK((t.status == STARTTLS_FAILED) == (starttls_run_text(run)[0] != '\0'));
    return t;
}

static void end(struct talk *t)
{
    starttls_relay_free(t->relay);
    for (int side = RELAY_NEAR; side <= RELAY_FAR; side++) {
        buf_free(&t->said[side]);
        buf_free(&t->heard[side]);
    }
}

static void compare(const struct talk *a, const struct talk *b)
{
    bool both_go_on = goes_on(a) && goes_on(b);
    CHECK(a->status == b->status || both_go_on);
    for (int side = RELAY_NEAR; side <= RELAY_FAR; side++) {
        const struct buf *x = &a->heard[side], *y = &b->heard[side];
        CHECK(a->consumed[side] == b->consumed[side] && x->len == y->len);
        CHECK(x->len == 0 || memcmp(x->data, y->data, x->len) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const enum starttls_section sections[] = {STARTTLS_RELAY_SERVER, STARTTLS_RELAY_CLIENT,
                                                     STARTTLS_RELAY_IDENTIFY};
    size_t n = 0;
    const char *const *names = starttls_builtin_names();
    if (len < 2)
        return 0;
    while (names[n] != NULL)
        n++;
    CHECK(n > 0);
    const struct starttls *p = starttls_builtin(names[(data[0] & ~REQUIRED) % n]);
    enum starttls_section section = sections[data[1] % ARRAY_LEN(sections)];
    if (starttls_section(p, section) < 0)
        return 0;
    bool required = (data[0] & REQUIRED) != 0;
    struct talk whole = play(p, section, required, data + 2, len - 2, 128);
    struct talk cut = play(p, section, required, data + 2, len - 2, 1u + data[1] / ARRAY_LEN(sections));
    compare(&whole, &cut);
    end(&whole);
    end(&cut);
    return 0;
}
