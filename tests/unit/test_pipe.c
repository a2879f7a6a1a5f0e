/* SPDX-License-Identifier: Apache-2.0 */
/* The pipe against links in memory: every interleaving of writing, ending, blocking and unblocking on both
 * sides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "link/mem_link.h"
#include "pipe/pipe.h"

#define SCRATCH 4096

/* A pipe between two pairs: we hold the outer ends, the pipe the inner ones. */
struct fixture {
    struct link *outer[2];
    struct link *inner[2];
    struct pipe pipe;
    uint8_t memory[SCRATCH];
    struct pipe_scratch scratch;
    size_t sent[2]; /* by outer end */
    size_t got[2];
    bool eof[2];
};

static void setup(struct fixture *f, size_t capacity)
{
    memset(f, 0, sizeof(*f));
    mem_link_pair(capacity, &f->outer[0], &f->inner[0]);
    mem_link_pair(capacity, &f->outer[1], &f->inner[1]);
    f->scratch = (struct pipe_scratch){f->memory, sizeof(f->memory), {-1, -1}};
    pipe_init(&f->pipe, f->inner[0], f->inner[1]);
}

static void teardown(struct fixture *f)
{
    pipe_free(&f->pipe);
    for (int i = 0; i < 2; i++) {
        link_close(f->inner[i], false);
        link_close(f->outer[i], false);
    }
}

/* The byte at a place of a side's stream: what arrives can be checked without keeping it. */
static uint8_t byte_at(int side, size_t at)
{
    return (uint8_t)(at * 31 + at / 251 + (size_t)side * 7);
}

static bool send_some(struct fixture *f, int side, size_t n)
{
    uint8_t data[SCRATCH];
    size_t taken = 0;
    for (size_t i = 0; i < n; i++)
        data[i] = byte_at(side, f->sent[side] + i);
    if (link_write(f->outer[side], data, n, &taken) != LINK_OK)
        return false;
    f->sent[side] += taken;
    return true;
}

static void receive(struct fixture *f, int side, size_t most)
{
    uint8_t data[SCRATCH];
    size_t n = 0;
    switch (link_read(f->outer[side], data, most, &n)) {
    case LINK_OK:
        for (size_t i = 0; i < n; i++)
            assert_int_equal(data[i], byte_at(!side, f->got[side] + i));
        f->got[side] += n;
        break;
    case LINK_EOF:
        f->eof[side] = true;
        break;
    case LINK_AGAIN:
        break;
    default:
        fail();
    }
}

static enum pipe_status run(struct fixture *f)
{
    enum pipe_status status;
    do
        status = pipe_run(&f->pipe, &f->scratch);
    while (status == PIPE_YIELD);
    return status;
}

/* A turn that may read so much, in both directions together, reads no more, and of each about half where both
 * have much; what is left goes later. */
static void a_turn_may_be_bounded(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1000);
    assert_true(send_some(&f, 0, 700));
    assert_true(send_some(&f, 1, 300));
    assert_int_equal(pipe_run_within(&f.pipe, &f.scratch, 500), PIPE_YIELD);
    receive(&f, 1, SCRATCH);
    receive(&f, 0, SCRATCH);
    assert_int_equal(f.got[1], 250);
    assert_int_equal(f.got[0], 250);
    assert_int_equal(pipe_run_within(&f.pipe, &f.scratch, 400), PIPE_YIELD);
    receive(&f, 1, SCRATCH);
    receive(&f, 0, SCRATCH);
    assert_int_equal(f.got[1], 450);
    assert_int_equal(f.got[0], 300);
    assert_int_equal(run(&f), PIPE_WAIT);
    receive(&f, 1, SCRATCH);
    receive(&f, 0, SCRATCH);
    assert_int_equal(f.got[1], 700);
    assert_int_equal(f.got[0], 300);
    teardown(&f);
}

static void carries_both_ways_and_keeps_half_close(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1000);
    assert_true(send_some(&f, 0, 700));
    assert_true(send_some(&f, 1, 300));
    assert_int_equal(run(&f), PIPE_WAIT);
    receive(&f, 1, SCRATCH);
    receive(&f, 0, SCRATCH);
    assert_int_equal(f.got[1], 700);
    assert_int_equal(f.got[0], 300);
    link_shutdown(f.outer[0]);
    assert_int_equal(run(&f), PIPE_WAIT);
    receive(&f, 1, SCRATCH);
    assert_true(f.eof[1]);
    assert_true(send_some(&f, 1, 500)); /* the other direction goes on */
    assert_int_equal(run(&f), PIPE_WAIT);
    receive(&f, 0, SCRATCH);
    assert_int_equal(f.got[0], 800);
    link_shutdown(f.outer[1]);
    assert_int_equal(run(&f), PIPE_DONE);
    receive(&f, 0, SCRATCH);
    assert_true(f.eof[0]);
    teardown(&f);
}

static void holds_no_more_than_it_read_and_stops_reading(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 100);
    for (int i = 0; i < 50; i++) {
        send_some(&f, 0, 100);
        run(&f);
        assert_in_range(pipe_held(&f.pipe), 0, 100);
    }
    assert_int_equal(f.sent[0], 300); /* far buffer, held, near buffer */
    while (f.got[1] < 300) {
        receive(&f, 1, 7);
        run(&f);
    }
    assert_int_equal(pipe_held(&f.pipe), 0);
    teardown(&f);
}

static void primed_bytes_go_first(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 64);
    uint8_t early[200];
    for (size_t i = 0; i < sizeof(early); i++)
        early[i] = byte_at(0, i);
    pipe_prime(&f.pipe, PIPE_A, early, sizeof(early));
    f.sent[0] = sizeof(early);
    send_some(&f, 0, 50);
    link_shutdown(f.outer[0]);
    for (int i = 0; i < 100 && !f.eof[1]; i++) {
        run(&f);
        receive(&f, 1, 13);
    }
    assert_true(f.eof[1]);
    assert_int_equal(f.got[1], 250);
    teardown(&f);
}

/* A side that was read to its end before: it is not asked again, a terminal would go on. */
static void a_primed_end_comes_after_the_bytes(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 100);
    uint8_t early[200];
    for (size_t i = 0; i < sizeof(early); i++)
        early[i] = byte_at(0, i);
    pipe_prime(&f.pipe, PIPE_A, early, sizeof(early));
    pipe_prime_end(&f.pipe, PIPE_A);
    f.sent[0] = sizeof(early);
    for (int i = 0; i < 100 && !f.eof[1]; i++) {
        run(&f);
        receive(&f, 1, 13);
    }
    assert_true(f.eof[1]);
    assert_int_equal(f.got[1], 200);
    teardown(&f);
}

static void a_broken_side_is_named(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        struct fixture f;
        setup(&f, 100);
        link_close(f.outer[side], true);
        assert_int_equal(run(&f), PIPE_FAILED);
        assert_int_equal(f.pipe.failed, side);
        pipe_free(&f.pipe);
        link_close(f.inner[0], false);
        link_close(f.inner[1], false);
        link_close(f.outer[!side], false);
    }
}

/* ---- every interleaving ---- */

enum action { SEND_0, SEND_1, READ_0, READ_1, END_0, END_1, ACTIONS };

/* Play a sequence of actions, running the pipe after each, then let everything flow out: nothing may be lost,
 * doubled or out of order, and the end must be reached exactly when both have ended. */
static void play(const enum action *actions, size_t count, size_t capacity)
{
    struct fixture f;
    bool ended[2] = {false, false};
    setup(&f, capacity);
    for (size_t i = 0; i < count; i++) {
        int side = (int)actions[i] % 2;
        switch (actions[i]) {
        case SEND_0:
        case SEND_1:
            if (!ended[side])
                send_some(&f, side, 3);
            break;
        case READ_0:
        case READ_1:
            receive(&f, side, 2);
            break;
        default:
            link_shutdown(f.outer[side]);
            ended[side] = true;
        }
        enum pipe_status status = run(&f);
        assert_true(status == PIPE_WAIT || (status == PIPE_DONE && ended[0] && ended[1]));
    }
    for (int side = 0; side < 2; side++)
        if (!ended[side])
            link_shutdown(f.outer[side]);
    for (int i = 0; i < 100 && !(f.eof[0] && f.eof[1]); i++) {
        run(&f);
        receive(&f, 0, 5);
        receive(&f, 1, 5);
    }
    assert_true(f.eof[0] && f.eof[1]);
    assert_int_equal(f.got[1], f.sent[0]);
    assert_int_equal(f.got[0], f.sent[1]);
    assert_int_equal(run(&f), PIPE_DONE);
    teardown(&f);
}

static void every_interleaving_of_six_actions(void **state)
{
    (void)state;
    enum { LENGTH = 6 };
    size_t total = 1;
    for (int i = 0; i < LENGTH; i++)
        total *= ACTIONS;
    for (size_t code = 0; code < total; code++) {
        enum action actions[LENGTH];
        size_t rest = code;
        for (int i = 0; i < LENGTH; i++, rest /= ACTIONS)
            actions[i] = (enum action)(rest % ACTIONS);
        play(actions, LENGTH, 2);
        play(actions, LENGTH, 4);
    }
}

static void long_random_sequences(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 2000; round++) {
        enum action actions[64];
        for (size_t i = 0; i < 64; i++) {
            seed = seed * 1103515245 + 12345;
            unsigned pick = seed >> 16;
            actions[i] = (enum action)(pick % (i < 48 ? END_0 : ACTIONS)); /* ends come late */
        }
        play(actions, 64, 1 + (size_t)round % 9);
    }
}

/* ---- links that are slow to end, or break ---- */

/* Answers what it is told to; counts how often it was asked to end its direction. */
struct stub {
    struct link link;
    enum link_status read, write, shutdown;
    bool follows;      /* it ends when we end our direction */
    const char *words; /* read first */
    int shutdowns;
};

static struct stub *stub_of(struct link *l)
{
    return CONTAINER_OF(l, struct stub, link);
}

static enum link_status stub_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct stub *s = stub_of(l);
    size_t n = s->words == NULL ? 0 : MIN(strlen(s->words), cap);
    if (n == 0)
        return s->read;
    memcpy(buf, s->words, n);
    s->words += n;
    *ret_n = n;
    return LINK_OK;
}

static enum link_status stub_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    (void)buf;
    *ret_n = len;
    return stub_of(l)->write;
}

static enum link_status stub_shutdown(struct link *l, bool closing)
{
    (void)closing;
    struct stub *s = stub_of(l);
    s->shutdowns++;
    if (s->follows)
        s->read = LINK_EOF;
    return s->shutdown;
}

static const struct link_ops stub_ops = {
    .name = "stub", .read = stub_read, .write = stub_write, .shutdown = stub_shutdown};

static void setup_stub(struct fixture *f, struct stub *s, int side)
{
    setup(f, 1000);
    s->link.ops = &stub_ops;
    pipe_free(&f->pipe);
    pipe_init(&f->pipe, side == 0 ? &s->link : f->inner[0], side == 1 ? &s->link : f->inner[1]);
}

/* A client that reads no more, so that close_notify can't leave: the pipe sleeps until it is woken. */
static void an_end_that_must_wait_is_waited_for(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        struct fixture f;
        struct stub s = {.read = LINK_AGAIN, .write = LINK_OK, .shutdown = LINK_AGAIN};
        setup_stub(&f, &s, side);
        assert_true(send_some(&f, !side, 100));
        link_shutdown(f.outer[!side]);
        assert_int_equal(run(&f), PIPE_WAIT);
        for (int i = 1; i <= 5; i++) { /* one question for each wake */
            assert_int_equal(s.shutdowns, i);
            assert_true(pipe_half_closed(&f.pipe));
            assert_int_equal(pipe_run(&f.pipe, &f.scratch), PIPE_WAIT);
        }
        s.shutdown = LINK_OK;
        assert_int_equal(run(&f), PIPE_WAIT);
        assert_int_equal(s.shutdowns, 7);
        s.read = LINK_EOF;
        assert_int_equal(run(&f), PIPE_DONE);
        assert_int_equal(s.shutdowns, 7);
        teardown(&f);
    }
}

static void both_have_ended_and_one_end_must_wait(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        struct fixture f;
        struct stub s = {.read = LINK_EOF, .write = LINK_OK, .shutdown = LINK_AGAIN};
        setup_stub(&f, &s, side);
        link_shutdown(f.outer[!side]);
        assert_int_equal(run(&f), PIPE_WAIT);
        assert_int_equal(pipe_run(&f.pipe, &f.scratch), PIPE_WAIT);
        s.shutdown = LINK_OK;
        assert_int_equal(run(&f), PIPE_DONE);
        teardown(&f);
    }
}

/* As flows over UDP do, and nothing wakes the pipe for it. */
static void a_link_that_ends_with_our_direction(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        struct fixture f;
        struct stub s = {.read = LINK_AGAIN, .write = LINK_OK, .shutdown = LINK_OK, .follows = true};
        setup_stub(&f, &s, side);
        assert_int_equal(run(&f), PIPE_WAIT);
        link_shutdown(f.outer[!side]);
        assert_int_equal(run(&f), PIPE_DONE);
        teardown(&f);
    }
}

static void an_end_that_fails_fails_the_pipe(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        struct fixture f;
        struct stub s = {.read = LINK_AGAIN, .write = LINK_OK, .shutdown = LINK_ERROR};
        setup_stub(&f, &s, side);
        link_shutdown(f.outer[!side]);
        assert_int_equal(run(&f), PIPE_FAILED);
        assert_int_equal(f.pipe.failed, side);
        teardown(&f);
    }
}

/* A backend that refuses an upload answers, then takes no more bytes: its answer still arrives. */
static void last_words_of_a_side_that_takes_no_more_are_carried_over(void **state)
{
    static const enum link_status ends[] = {LINK_EOF, LINK_ERROR, LINK_AGAIN};
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(ends); i++) {
        int side = (int)i % 2;
        struct fixture f;
        struct stub s = {
            .read = ends[i / 2], .write = LINK_ERROR, .shutdown = LINK_ERROR, .words = "413 too large"};
        setup_stub(&f, &s, side);
        assert_true(send_some(&f, !side, 700));
        assert_int_equal(run(&f), PIPE_FAILED);
        assert_int_equal(f.pipe.failed, side);
        char said[32] = "";
        size_t n = 0;
        assert_int_equal(link_read(f.outer[!side], said, sizeof(said), &n), LINK_OK);
        assert_string_equal(said, "413 too large");
        teardown(&f);
    }
}

/* Last words have an end, even where they have none. */
static void last_words_are_bounded(void **state)
{
    (void)state;
    struct fixture f;
    struct stub s = {.read = LINK_AGAIN, .write = LINK_ERROR, .shutdown = LINK_ERROR};
    static char words[16 * 1024 * 1024];
    memset(words, 'x', sizeof(words) - 1);
    s.words = words;
    setup_stub(&f, &s, 1);
    link_close(f.outer[0], false);
    link_close(f.inner[0], false);
    mem_link_pair(sizeof(words), &f.outer[0], &f.inner[0]);
    f.pipe.link[0] = f.inner[0];
    assert_true(send_some(&f, 0, 10));
    assert_int_equal(run(&f), PIPE_FAILED);
    assert_in_range(mem_link_waiting(f.outer[0]), 1, 1024 * 1024);
    teardown(&f);
}

/* A side whose end has been read breaks, and the other one has nothing to write to it. */
static void a_side_that_breaks_after_its_end_is_seen(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 100);
    assert_int_equal(link_shutdown(f.outer[0]), LINK_OK);
    assert_int_equal(pipe_run(&f.pipe, &f.scratch), PIPE_YIELD);
    assert_int_equal(pipe_run(&f.pipe, &f.scratch), PIPE_WAIT);
    assert_true(pipe_half_closed(&f.pipe));
    assert_false(pipe_has_lost(&f.pipe, PIPE_A));
    link_fail(f.inner[0], "connection reset");
    assert_true(pipe_has_lost(&f.pipe, PIPE_A));
    assert_false(pipe_has_lost(&f.pipe, PIPE_B));
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_may_be_bounded),
        cmocka_unit_test(carries_both_ways_and_keeps_half_close),
        cmocka_unit_test(holds_no_more_than_it_read_and_stops_reading),
        cmocka_unit_test(primed_bytes_go_first),
        cmocka_unit_test(a_primed_end_comes_after_the_bytes),
        cmocka_unit_test(a_broken_side_is_named),
        cmocka_unit_test(a_side_that_breaks_after_its_end_is_seen),
        cmocka_unit_test(an_end_that_must_wait_is_waited_for),
        cmocka_unit_test(both_have_ended_and_one_end_must_wait),
        cmocka_unit_test(a_link_that_ends_with_our_direction),
        cmocka_unit_test(an_end_that_fails_fails_the_pipe),
        cmocka_unit_test(last_words_of_a_side_that_takes_no_more_are_carried_over),
        cmocka_unit_test(last_words_are_bounded),
        cmocka_unit_test(every_interleaving_of_six_actions),
        cmocka_unit_test(long_random_sequences),
    };
    return cmocka_run_group_tests_name("pipe", tests, NULL, NULL);
}
