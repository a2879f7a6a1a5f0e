/* SPDX-License-Identifier: Apache-2.0 */
/* session/office.h: inquiries from two threads' loops, answered at once, later, or never. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "session/office.h"

#define ROUNDS 2000

/* Services: `now` answers within the call, `later` a moment after it, `never` not at all. What they count is
 * the office's thread's, and read once that has ended. */
struct desk {
    struct loop *loop;
    struct list waiting;
    struct timer timer;
    size_t asked, begun, ended;
};

struct late {
    struct list node;
    struct web_exchange *exchange;
};

static void serve_now(void *arg, const struct web_request *r, struct web_exchange *x)
{
    struct desk *d = arg;
    d->asked++;
    web_exchange_text(x, 200, "%.*s", (int)r->path.len, r->path.p);
}

static void answer_all(struct timer *t)
{
    struct desk *d = CONTAINER_OF(t, struct desk, timer);
    struct list *n;
    while ((n = list_pop(&d->waiting)) != NULL) {
        struct late *l = CONTAINER_OF(n, struct late, node);
        web_exchange_text(l->exchange, 201, "late");
        free(l);
    }
}

static void serve_later(void *arg, const struct web_request *r, struct web_exchange *x)
{
    struct desk *d = arg;
    struct late *l = calloc(1, sizeof(*l));
    (void)r;
    CHECK(l != NULL);
    l->exchange = x;
    list_insert(&d->waiting, &l->node);
    loop_set_timer(d->loop, &d->timer, loop_now(d->loop) + 5 * NSEC_PER_MSEC);
}

static void serve_never(void *arg, const struct web_request *r, struct web_exchange *x)
{
    struct desk *d = arg;
    (void)r;
    (void)x;
    d->asked++;
}

static void begin(void *arg, struct loop *loop)
{
    struct desk *d = arg;
    d->loop = loop;
    d->begun++;
    list_init(&d->waiting);
    timer_init(&d->timer, answer_all);
}

static void end(void *arg)
{
    struct desk *d = arg;
    struct list *n;
    d->ended++;
    wheel_cancel(&d->timer);
    while ((n = list_pop(&d->waiting)) != NULL)
        free(CONTAINER_OF(n, struct late, node));
}

enum { NOW, LATER, NEVER };

static void services_for(struct desk *d, struct web_service ret[3])
{
    static const char *const everything[] = {"/", NULL};
    ret[NOW] = (struct web_service){
        .name = "now", .prefixes = everything, .serve = serve_now, .begin = begin, .end = end, .arg = d};
    ret[LATER] =
        (struct web_service){.name = "later", .prefixes = everything, .serve = serve_later, .arg = d};
    ret[NEVER] =
        (struct web_service){.name = "never", .prefixes = everything, .serve = serve_never, .arg = d};
}

/* Who asks: a loop, and how many answers it still waits for. */
struct asker {
    struct loop *loop;
    size_t left;
    unsigned status; /* of the last answer */
};

static void on_back(struct inquiry *q)
{
    struct asker *a = q->asker;
    if (a != NULL) {
        a->status = q->answer.status;
        if (--a->left == 0)
            loop_stop(a->loop);
    }
    inquiry_free(q);
}

static struct inquiry *inquiry_for(struct asker *a, const struct web_service *service)
{
    static const char bytes[] = "GET /path HTTP/1.1\r\nHost: a.example\r\n\r\n";
    struct inquiry *q = inquiry_new();
    struct err err;
    size_t used;
    assert_int_equal(web_reader_feed(&q->reader, (const uint8_t *)bytes, sizeof(bytes) - 1, &used, &err),
                     WEB_READ_WHOLE);
    q->request = web_reader_request(&q->reader);
    q->service = service;
    q->back = on_back;
    q->asker = a;
    return q;
}

static void wait_for(struct asker *a)
{
    struct err err;
    if (a->left > 0)
        assert_int_equal(loop_run(a->loop, &err), 0);
    assert_int_equal(a->left, 0);
}

static void test_there_and_back(void **state)
{
    struct desk desk = {0};
    struct web_service services[3];
    struct err err;
    struct asker a = {.loop = loop_new(&err)};
    (void)state;
    services_for(&desk, services);
    struct office *office = office_open(services, 3, &err);
    assert_true(office != NULL && a.loop != NULL);
    a.left = ROUNDS;
    for (size_t i = 0; i < ROUNDS; i++)
        assert_true(office_ask(office, inquiry_for(&a, &services[NOW]), a.loop, ROUNDS));
    wait_for(&a);
    assert_int_equal(a.status, 200);
    a.left = 3;
    for (size_t i = 0; i < 3; i++)
        assert_true(office_ask(office, inquiry_for(&a, &services[LATER]), a.loop, ROUNDS));
    wait_for(&a);
    assert_int_equal(a.status, 201);
    office_close(office);
    office_free(office);
    assert_true(desk.begun == 1 && desk.ended == 1 && desk.asked == ROUNDS);
    loop_free(a.loop);
}

static void test_at_once(void **state)
{
    struct desk desk = {0};
    struct web_service services[3];
    (void)state;
    services_for(&desk, services);
    struct inquiry *q = inquiry_for(NULL, &services[NOW]);
    inquiry_answer_at_once(q);
    assert_int_equal(q->answer.status, 200);
    assert_string_equal(buf_text(&q->answer.body), "/path\n");
    inquiry_free(q);
}

/* What has no answer when the office closes is freed with it, in whichever thread's hands it was; so is what
 * was asked after its last moment. Nobody who has left is told. */
static void test_end_with_some_under_way(void **state)
{
    struct desk desk = {0};
    struct web_service services[3];
    struct err err;
    struct asker a = {.loop = loop_new(&err)};
    (void)state;
    services_for(&desk, services);
    struct office *office = office_open(services, 3, &err);
    assert_true(office != NULL && a.loop != NULL);
    for (size_t i = 0; i < 4; i++) {
        struct inquiry *q = inquiry_for(&a, &services[NEVER]);
        assert_true(office_ask(office, q, a.loop, 4));
    }
    struct inquiry *more = inquiry_for(&a, &services[NOW]);
    assert_false(office_ask(office, more, a.loop, 4)); /* as many as may be */
    assert_true(office_ask(office, more, a.loop, 5));
    struct inquiry *late = inquiry_for(&a, &services[LATER]);
    assert_true(office_ask(office, late, a.loop, 6));
    late->asker = NULL;
    a.left = 1;
    wait_for(&a);
    office_close(office);
    assert_true(office_ask(office, inquiry_for(&a, &services[NOW]), a.loop, 100));
    loop_deliver(a.loop);
    office_free(office);
    assert_int_equal(desk.asked, 5);
    loop_free(a.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_end_with_some_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
