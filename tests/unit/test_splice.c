/* SPDX-License-Identifier: Apache-2.0 */
/* The pipe between sockets, moving bytes inside the kernel: every interleaving of writing, ending, blocking
 * and unblocking on both sides. The scratch's memory is smaller than what a flow begins with, so that all of
 * it is bulk; the kernel's pipe must be empty after every turn. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "link/fd_link.h"
#include "link/mem_link.h"
#include "pipe/pipe.h"
#include "tests/unit/sockets.h"

#define PIECE 3000

struct fixture {
    struct loop *loop;
    struct task stop;
    int outer[2];
    struct link *inner[2];
    struct pipe pipe;
    struct pipe_scratch scratch;
    size_t sent[2]; /* by outer end */
    size_t got[2];
    bool eof[2];
};

static void stop(struct task *t)
{
    loop_stop(CONTAINER_OF(t, struct fixture, stop)->loop);
}

/* A pair with little room between: unix sockets take about two pieces each way. */
static void unix_pair(int ret[2])
{
    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ret), errno);
    for (int i = 0; i < 2; i++)
        setsockopt(ret[i], SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int));
}

static void setup(struct fixture *f, void (*make_pair)(int[2]))
{
    struct err err;
    memset(f, 0, sizeof(*f));
    f->loop = loop_new(&err);
    task_init(&f->stop, stop);
    for (int i = 0; i < 2; i++) {
        int fd[2];
        make_pair(fd);
        f->outer[i] = fd[0];
        f->inner[i] = fd_link_socket(f->loop, fd[1], false);
        assert_non_null(f->inner[i]);
    }
    pipe_scratch_init(&f->scratch, true);
    assert_true(f->scratch.kernel_pipe[0] >= 0);
    f->scratch.size = PIPE_SCRATCH_MIN;
    pipe_init(&f->pipe, f->inner[0], f->inner[1]);
}

static void teardown(struct fixture *f)
{
    pipe_free(&f->pipe);
    for (int i = 0; i < 2; i++) {
        link_close(f->inner[i], false);
        close(f->outer[i]);
    }
    pipe_scratch_free(&f->scratch);
    loop_free(f->loop);
}

static uint8_t byte_at(int side, size_t at)
{
    return (uint8_t)(at * 31 + at / 251 + (size_t)side * 7);
}

static void send_some(struct fixture *f, int side, size_t n)
{
    static uint8_t data[1024 * 1024];
    assert_in_range(n, 1, sizeof(data));
    for (size_t i = 0; i < n; i++)
        data[i] = byte_at(side, f->sent[side] + i);
    ssize_t taken = send(f->outer[side], data, n, MSG_NOSIGNAL);
    assert_true(taken > 0 || errno == EAGAIN);
    f->sent[side] += taken > 0 ? (size_t)taken : 0;
}

static void receive(struct fixture *f, int side, size_t most)
{
    static uint8_t data[1024 * 1024];
    ssize_t n = recv(f->outer[side], data, MIN(most, sizeof(data)), 0);
    assert_true(n >= 0 || errno == EAGAIN);
    f->eof[side] = f->eof[side] || n == 0;
    for (ssize_t i = 0; i < n; i++)
        assert_int_equal(data[i], byte_at(!side, f->got[side] + (size_t)i));
    f->got[side] += n > 0 ? (size_t)n : 0;
}

/* Let the loop tell the links what has happened, then run the pipe. */
static enum pipe_status run(struct fixture *f)
{
    struct err err;
    enum pipe_status status;
    loop_defer(f->loop, &f->stop);
    assert_int_equal(loop_run(f->loop, &err), 0);
    do {
        int left = 0;
        status = pipe_run(&f->pipe, &f->scratch);
        assert_return_code(ioctl(f->scratch.kernel_pipe[0], FIONREAD, &left), errno);
        assert_int_equal(left, 0);
    } while (status == PIPE_YIELD);
    return status;
}

/* Read on until the pipe is done; then the links are closed, which tells the last side. */
static void flow_out(struct fixture *f)
{
    for (int i = 0; run(f) != PIPE_DONE; i++) {
        assert_in_range(i, 0, 10000);
        receive(f, 0, PIECE * 40);
        receive(f, 1, PIECE * 40);
    }
    assert_int_equal(pipe_held(&f->pipe), 0);
    for (int side = 0; side < 2; side++) {
        assert_int_equal(f->inner[side]->bytes_read, f->sent[side]);
        assert_int_equal(f->inner[side]->bytes_written, f->sent[!side]);
        link_close(f->inner[side], false);
        f->inner[side] = NULL;
    }
    for (int side = 0; side < 2; side++) {
        while (!f->eof[side])
            receive(f, side, SIZE_MAX);
        assert_int_equal(f->got[side], f->sent[!side]);
    }
}

enum action { SEND_0, SEND_1, READ_0, READ_1, END_0, END_1, ACTIONS };

static void play(const enum action *actions, size_t count, void (*make_pair)(int[2]), size_t piece)
{
    struct fixture f;
    bool ended[2] = {false, false};
    setup(&f, make_pair);
    for (size_t i = 0; i < count; i++) {
        int side = (int)actions[i] % 2;
        switch (actions[i]) {
        case SEND_0:
        case SEND_1:
            if (!ended[side])
                send_some(&f, side, piece);
            break;
        case READ_0:
        case READ_1:
            receive(&f, side, piece / 2);
            break;
        default:
            shutdown(f.outer[side], SHUT_WR);
            ended[side] = true;
        }
        enum pipe_status status = run(&f);
        assert_true(status == PIPE_WAIT || (status == PIPE_DONE && ended[0] && ended[1]));
    }
    for (int side = 0; side < 2; side++)
        if (!ended[side])
            shutdown(f.outer[side], SHUT_WR);
    flow_out(&f);
    teardown(&f);
}

static void every_interleaving_of_five_actions(void **state)
{
    (void)state;
    enum { LENGTH = 5 };
    size_t total = 1;
    for (int i = 0; i < LENGTH; i++)
        total *= ACTIONS;
    for (size_t code = 0; code < total; code++) {
        enum action actions[LENGTH];
        size_t rest = code;
        for (int i = 0; i < LENGTH; i++, rest /= ACTIONS)
            actions[i] = (enum action)(rest % ACTIONS);
        play(actions, LENGTH, unix_pair, PIECE);
    }
}

static void random_sequences(unsigned seed, int rounds, void (*make_pair)(int[2]), size_t piece)
{
    for (int round = 0; round < rounds; round++) {
        enum action actions[64];
        for (size_t i = 0; i < 64; i++) {
            seed = seed * 1103515245 + 12345;
            unsigned pick = seed >> 16;
            actions[i] = (enum action)(pick % (i < 48 ? END_0 : ACTIONS)); /* ends come late */
        }
        play(actions, 64, make_pair, piece);
    }
}

static void long_random_sequences(void **state)
{
    (void)state;
    random_sequences(1, 200, unix_pair, PIECE);
    random_sequences(2, 10, tcp_pair, 300 * 1000);
}

/* A far side that reads nothing: what was read is held, no more is read, and all of it arrives. */
static void what_the_far_side_does_not_take_is_held(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, tcp_pair);
    /* With a fixed receive buffer the kernel can't take it all by itself. */
    setsockopt(f.outer[1], SOL_SOCKET, SO_RCVBUF, &(int){64 * 1024}, sizeof(int));
    size_t before;
    do {
        before = f.sent[0];
        send_some(&f, 0, 1000 * 1000);
        assert_int_equal(run(&f), PIPE_WAIT);
        assert_int_equal(pipe_held(&f.pipe), f.inner[0]->bytes_read - f.inner[1]->bytes_written);
        assert_in_range(pipe_held(&f.pipe), 0, 512 * 1024);
    } while (f.sent[0] > before || pipe_held(&f.pipe) == 0);
    shutdown(f.outer[0], SHUT_WR);
    shutdown(f.outer[1], SHUT_WR);
    flow_out(&f);
    teardown(&f);
}

/* splice(2) stops before a byte of urgent data as if there were nothing. */
static void urgent_data_does_not_stall_the_flow(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, tcp_pair);
    send_some(&f, 0, PIECE);
    assert_int_equal(send(f.outer[0], "!", 1, MSG_OOB), 1); /* not part of the stream */
    send_some(&f, 0, PIECE);
    for (int i = 0; i < 10; i++) {
        run(&f);
        receive(&f, 1, PIECE);
    }
    assert_int_equal(f.got[1], 2 * PIECE);
    teardown(&f);
}

/* Bytes that could not be delivered do not reach the next flow. */
static void a_broken_side_leaves_nothing_behind(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        struct fixture f;
        setup(&f, tcp_pair);
        send_some(&f, !side, 500 * 1000);
        setsockopt(f.outer[side], SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
                   sizeof(struct linger));
        close(f.outer[side]);
        f.outer[side] = -1;
        assert_int_equal(run(&f), PIPE_FAILED);
        assert_int_equal(f.pipe.failed, side);
        teardown(&f);
    }
}

/* One side is no socket: all is copied, though the scratch could splice. */
static void other_links_are_copied(void **state)
{
    (void)state;
    struct fixture f;
    struct link *far, *near;
    setup(&f, unix_pair);
    mem_link_pair(10 * 1000, &far, &near);
    f.pipe.link[1] = near;
    send_some(&f, 0, PIECE);
    run(&f);
    assert_int_equal(mem_link_waiting(far), f.sent[0]);
    teardown(&f);
    link_close(near, false);
    link_close(far, false);
}

static void without_leave_to_splice_all_is_copied(void **state)
{
    (void)state;
    struct pipe_scratch scratch;
    pipe_scratch_init(&scratch, false);
    assert_true(scratch.size >= PIPE_SCRATCH_MIN);
    assert_int_equal(scratch.kernel_pipe[0], -1);
    assert_int_equal(scratch.kernel_pipe[1], -1);
    pipe_scratch_free(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_interleaving_of_five_actions),
        cmocka_unit_test(long_random_sequences),
        cmocka_unit_test(what_the_far_side_does_not_take_is_held),
        cmocka_unit_test(urgent_data_does_not_stall_the_flow),
        cmocka_unit_test(a_broken_side_leaves_nothing_behind),
        cmocka_unit_test(other_links_are_copied),
        cmocka_unit_test(without_leave_to_splice_all_is_copied),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("splice", tests, NULL, NULL);
}
