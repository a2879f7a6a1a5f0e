/* SPDX-License-Identifier: Apache-2.0 */
/* session/relay_link.h: a relay on a link, whatever that takes at a time, and what is left of it at the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "link/fd_link.h"
#include "link/mem_link.h"
#include "session/relay_link.h"
#include "starttls/relay.h"

#define BYTES(text) text, sizeof(text) - 1
#define PLENTY 65536

struct ends {
    struct link *top;    /* what the owner has: he reads for the client, and writes what that says */
    struct link *server; /* behind it */
    unsigned woken;
};

static void on_wake(struct link *l)
{
    struct ends *e = l->owner;
    e->woken++;
}

static void put_relay(struct ends *e, const char *protocol, enum starttls_section section, struct link *far,
                      const char *early)
{
    const struct starttls *p = starttls_builtin(protocol);
    struct buf said = {0};
    assert_true(buf_append(&said, early, strlen(early)));
    e->top = relay_link_new(starttls_relay_new(p, section), far, &said);
    assert_int_equal(said.len, 0);
    e->top->wake = on_wake;
    e->top->owner = e;
}

static void begin(struct ends *e, const char *protocol, size_t capacity, const char *early)
{
    struct link *far;
    *e = (struct ends){0};
    mem_link_pair(capacity, &far, &e->server);
    put_relay(e, protocol, STARTTLS_RELAY_SERVER, far, early);
}

static void end(struct ends *e)
{
    link_close(e->top, false);
    link_close(e->server, false);
}

/* Read what there is to the end of a buffer; the last answer. */
static enum link_status drain(struct link *l, size_t cap, struct buf *to)
{
    uint8_t piece[1024];
    enum link_status status;
    size_t n;
    while ((status = link_read(l, piece, cap, &n)) == LINK_OK)
        assert_true(buf_append(to, piece, n));
    return status;
}

/* Write all of it, while both sides read what has come. */
static void say(struct link *from, const char *text, size_t len, size_t cap, struct ends *e,
                struct buf heard[2])
{
    for (size_t done = 0, turns = 0; done < len; turns++) {
        size_t n = 0;
        enum link_status status = link_write(from, text + done, MIN(cap, len - done), &n);
        assert_int_not_equal(status, LINK_ERROR);
        done += status == LINK_OK ? n : 0;
        assert_int_equal(drain(e->top, cap, &heard[0]), LINK_AGAIN);
        assert_int_equal(drain(e->server, cap, &heard[1]), LINK_AGAIN);
        assert_true(turns < 100 * len);
    }
}

static void expect(struct buf *heard, const char *text, size_t len)
{
    assert_int_equal(heard->len, len);
    if (len > 0)
        assert_memory_equal(heard->data, text, len);
    buf_free(heard);
}

static void any_pieces(void **state)
{
    (void)state;
    static const size_t capacities[] = {1, 2, 7, 4096};
    for (size_t i = 0; i < 4; i++) {
        for (size_t cap = 1; cap < 40; cap++) {
            struct ends e;
            struct buf heard[2] = {{0}, {0}};
            begin(&e, "pop3", capacities[i], "+OK\r\nST");
            say(e.server, BYTES("LS\r\n.\r\n"), cap, &e, heard);
            say(e.top, BYTES("CAPA\r\nSTLS\r\nUSER a\r\nno line"), cap, &e, heard);
            say(e.server, BYTES("STLS\r\nnone"), cap, &e, heard);
            while (link_shutdown(e.top) == LINK_AGAIN)
                assert_int_equal(drain(e.server, cap, &heard[1]), LINK_AGAIN);
            assert_int_equal(drain(e.server, cap, &heard[1]), LINK_EOF);
            assert_int_equal(link_shutdown(e.server), LINK_OK);
            assert_int_equal(drain(e.top, cap, &heard[0]), LINK_EOF);
            expect(&heard[0], BYTES("+OK\r\n.\r\n-ERR TLS has begun already\r\nSTLS\r\nnone"));
            expect(&heard[1], BYTES("CAPA\r\nUSER a\r\nno line"));
            end(&e);
        }
    }
}

/* What the server said is told to its end. A part of a client's line goes nowhere: no rule has seen it, and
 * a server may take it for a command. */
static void ends_within_a_unit(void **state)
{
    (void)state;
    struct ends e;
    struct buf heard[2] = {{0}, {0}};
    begin(&e, "pop3", PLENTY, "");
    say(e.top, BYTES("CAP"), 64, &e, heard);
    say(e.server, BYTES("+O"), 64, &e, heard);
    assert_int_equal(heard[0].len + heard[1].len, 0);
    assert_int_equal(link_shutdown(e.top), LINK_OK);
    assert_int_equal(drain(e.server, 64, &heard[1]), LINK_EOF);
    assert_int_equal(link_shutdown(e.server), LINK_OK);
    assert_int_equal(drain(e.top, 64, &heard[0]), LINK_EOF);
    expect(&heard[0], BYTES("+O"));
    expect(&heard[1], BYTES(""));
    end(&e);
}

/* Commands that were left for later because their answers are not read are gone through at the client's end,
 * not passed over as they are. */
static void whole_units_before_the_end(void **state)
{
    (void)state;
    static char asks[4096];
    struct ends e;
    struct buf heard[2] = {{0}, {0}};
    size_t n, taken = 0;
    for (size_t i = 0; i < sizeof(asks); i += 8)
        memcpy(asks + i, "PROT P\r\n", 8);
    begin(&e, "ftp", PLENTY, "");
    while (link_write(e.top, asks, sizeof(asks), &n) == LINK_OK)
        taken += n;
    assert_int_equal(link_shutdown(e.top), LINK_AGAIN);
    assert_int_equal(drain(e.server, 64, &heard[1]), LINK_AGAIN);
    assert_int_equal(drain(e.top, 64, &heard[0]), LINK_AGAIN);
    assert_true(e.woken > 0);
    assert_int_equal(link_shutdown(e.top), LINK_OK);
    assert_int_equal(drain(e.server, 64, &heard[1]), LINK_EOF);
    assert_int_equal(heard[0].len,
                     taken / 8 * strlen("536 Data connections are in the clear here: PROT C\r\n"));
    expect(&heard[1], BYTES(""));
    buf_free(&heard[0]);
    end(&e);
}

static void put_mail_relay(struct ends *e, const char *early)
{
    struct link *far;
    *e = (struct ends){0};
    mem_link_pair(PLENTY, &far, &e->server);
    put_relay(e, "smtp", STARTTLS_RELAY_IDENTIFY, far, early);
}

/* A client that says much at once is not taken more of than one write until the server has answered, and has
 * the end of what it says delivered behind the last answer. */
static void commands_wait(void **state)
{
    (void)state;
    struct ends e;
    struct buf heard[2] = {{0}, {0}};
    size_t n;
    put_mail_relay(&e, "");
    assert_int_equal(link_write(e.top, BYTES("NOOP\r\nXCLIENT a\r\nRSET\r\nXCL"), &n), LINK_OK);
    assert_int_equal(link_write(e.top, BYTES("x"), &n), LINK_AGAIN);
    assert_int_equal(link_shutdown(e.top), LINK_AGAIN);
    assert_int_equal(drain(e.server, 64, &heard[1]), LINK_AGAIN);
    expect(&heard[1], BYTES("NOOP\r\n"));
    assert_int_equal(link_write(e.server, BYTES("250 a\r\n"), &n), LINK_OK);
    e.woken = 0;
    assert_int_equal(drain(e.top, 64, &heard[0]), LINK_AGAIN);
    assert_int_equal(e.woken, 0);
    assert_int_equal(link_shutdown(e.top), LINK_AGAIN);
    assert_int_equal(link_write(e.server, BYTES("250 b\r\n"), &n), LINK_OK);
    e.woken = 0;
    assert_int_equal(drain(e.top, 64, &heard[0]), LINK_AGAIN);
    assert_true(e.woken > 0);
    expect(&heard[0], BYTES("250 a\r\n502 5.5.1 The command is not known here\r\n250 b\r\n"));
    assert_int_equal(link_shutdown(e.top), LINK_OK);
    assert_int_equal(drain(e.server, 64, &heard[1]), LINK_EOF);
    expect(&heard[1], BYTES("RSET\r\n"));
    end(&e);
}

/* What waits for a server that has gone waits no more. */
static void nobody_answers(void **state)
{
    (void)state;
    struct ends e;
    struct buf heard[2] = {{0}, {0}};
    size_t n;
    put_mail_relay(&e, "");
    assert_int_equal(link_write(e.top, BYTES("QUIT\r\nNOOP\r\n"), &n), LINK_OK);
    assert_int_equal(link_shutdown(e.top), LINK_AGAIN);
    assert_int_equal(link_shutdown(e.server), LINK_OK);
    e.woken = 0;
    assert_int_equal(drain(e.top, 64, &heard[0]), LINK_EOF);
    assert_true(e.woken > 0);
    assert_int_equal(link_write(e.top, BYTES("NOOP\r\n"), &n), LINK_OK);
    assert_int_equal(link_shutdown(e.top), LINK_OK);
    assert_int_equal(drain(e.server, 64, &heard[1]), LINK_EOF);
    expect(&heard[1], BYTES("QUIT\r\n"));
    end(&e);
}

/* More than a unit, or all that is remembered, in one line. */
static void a_long_mail(void **state)
{
    (void)state;
    static char mail[200000];
    struct ends e;
    struct buf heard[2] = {{0}, {0}};
    size_t n;
    memset(mail, 'x', sizeof(mail));
    memcpy(mail + sizeof(mail) - 12, "\r\n.\r\nXCLIENT", 12);
    put_mail_relay(&e, "");
    assert_int_equal(link_write(e.top, BYTES("DATA\r\n"), &n), LINK_OK);
    assert_int_equal(link_write(e.server, BYTES("354\r\n"), &n), LINK_OK);
    assert_int_equal(drain(e.top, 64, &heard[0]), LINK_AGAIN);
    say(e.top, mail, sizeof(mail), 1000, &e, heard);
    assert_int_equal(heard[1].len, 6 + sizeof(mail) - 7);
    assert_memory_equal(heard[1].data + 6, mail, sizeof(mail) - 7);
    buf_free(&heard[1]);
    expect(&heard[0], BYTES("354\r\n"));
    end(&e);
}

/* Who asks and does not read the answers is not heard on; when he reads, the owner is woken. */
static void answers_are_bounded(void **state)
{
    (void)state;
    static char asks[4096];
    struct ends e;
    struct buf heard = {0};
    size_t n, taken = 0;
    for (size_t i = 0; i < sizeof(asks); i += 8)
        memcpy(asks + i, "PROT P\r\n", 8);
    begin(&e, "ftp", PLENTY, "");
    while (link_write(e.top, asks, sizeof(asks), &n) == LINK_OK)
        taken += n;
    assert_true(taken > 0 && taken < PLENTY && e.woken == 0);
    assert_int_equal(drain(e.top, 1024, &heard), LINK_AGAIN);
    assert_true(heard.len == taken / 8 * strlen("536 Data connections are in the clear here: PROT C\r\n"));
    assert_int_equal(e.woken, 1);
    assert_int_equal(link_write(e.top, asks, sizeof(asks), &n), LINK_OK);
    buf_free(&heard);
    end(&e);
}

static void unit_without_end(void **state)
{
    (void)state;
    static char line[STARTTLS_UNIT_MAX];
    struct ends e;
    size_t n;
    enum link_status status = LINK_OK;
    memset(line, 'x', sizeof(line));
    begin(&e, "ftp", PLENTY, "");
    for (int i = 0; i < 8 && status == LINK_OK; i++)
        status = link_write(e.top, line, sizeof(line), &n);
    assert_int_equal(status, LINK_ERROR);
    assert_string_equal(link_error(e.top), "ftp: the client sent a line or packet of more than 16384 bytes");
    end(&e);
}

/* What breaks off is told, but nothing of what was said: it may be a password. */
static void no_unit(void **state)
{
    (void)state;
    struct ends e = {0};
    struct link *far;
    size_t n;
    mem_link_pair(PLENTY, &far, &e.server);
    put_relay(&e, "postgresql", STARTTLS_RELAY_CLIENT, far, "");
    assert_int_equal(link_write(e.top, BYTES("\0\0\0\1password"), &n), LINK_ERROR);
    assert_string_equal(link_error(e.top), "postgresql: what the client says is not of this protocol");
    end(&e);
}

/* What stands behind a startup that is refused, or is cut off, reaches the server as little as that. */
static void nobody_slips_by(void **state)
{
    (void)state;
    static const struct {
        const char *said;
        size_t len;
    } rows[] = {
        {BYTES("\0\0\0\x9\0\2\0\0\0"
               "\0\0\0\x13\0\3\0\0user\0evil\0\0")},
        {BYTES("\0\0\0\x20\0\3\0\0user\0evil\0\0")},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ends e = {0};
        struct link *far;
        struct buf heard = {0};
        size_t n;
        mem_link_pair(PLENTY, &far, &e.server);
        put_relay(&e, "postgresql", STARTTLS_RELAY_IDENTIFY, far, "");
        assert_int_equal(link_write(e.top, rows[i].said, rows[i].len, &n), LINK_OK);
        assert_int_equal(n, rows[i].len);
        assert_int_equal(link_shutdown(e.top), LINK_OK);
        assert_int_equal(drain(e.server, 1024, &heard), LINK_EOF);
        assert_int_equal(heard.len, 0);
        end(&e);
    }
}

/* On a socket: once the relay has ended, bytes can be spliced as if it had never been. */
static void dissolves(void **state)
{
    (void)state;
    int fd[2];
    size_t n;
    struct ends e = {0};
    struct err err;
    struct loop *loop = loop_new(&err);
    assert_non_null(loop);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    e.server = fd_link_socket(loop, fd[1], false);
    put_relay(&e, "pop3", STARTTLS_RELAY_SERVER, fd_link_socket(loop, fd[0], false), "");
    assert_false(link_splices(e.top));
    assert_int_equal(link_socket(link_bottom(e.top)), fd[0]);
    assert_int_equal(link_write(e.top, BYTES("USER a\r\n"), &n), LINK_OK);
    assert_true(link_splices(e.top));
    uint8_t got[16];
    assert_int_equal(link_read(e.server, got, sizeof(got), &n), LINK_OK);
    assert_int_equal(n, 8);
    end(&e);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_pieces),
        cmocka_unit_test(ends_within_a_unit),
        cmocka_unit_test(whole_units_before_the_end),
        cmocka_unit_test(commands_wait),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(a_long_mail),
        cmocka_unit_test(answers_are_bounded),
        cmocka_unit_test(unit_without_end),
        cmocka_unit_test(no_unit),
        cmocka_unit_test(nobody_slips_by),
        cmocka_unit_test(dissolves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
