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
    f->scratch = (struct pipe_scratch){f->memory, sizeof(f->memory)};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_both_ways_and_keeps_half_close),
        cmocka_unit_test(holds_no_more_than_it_read_and_stops_reading),
        cmocka_unit_test(primed_bytes_go_first),
        cmocka_unit_test(a_broken_side_is_named),
        cmocka_unit_test(every_interleaving_of_six_actions),
        cmocka_unit_test(long_random_sequences),
    };
    return cmocka_run_group_tests_name("pipe", tests, NULL, NULL);
}
