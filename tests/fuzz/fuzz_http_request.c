/* SPDX-License-Identifier: Apache-2.0 */
/* http/request.h and http/masque.h: fields of HTTP/2 and HTTP/3, a line each, name and value apart by '='.
 * What is taken is in canonical form; what is not is answered. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "http/answer.h"
#include "http/request.h"
#include "http1/field.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void feed(struct request *r, const char *p, size_t len)
{
    struct str left = {p, len}, line, name;
    while (field_split(&left, '\n', &line))
        if (field_split(&line, '=', &name))
            request_field(r, name, line);
}

static void check_target(const struct front_target *t)
{
    struct buf out = {0};
    uint16_t port;
    char host[HOST_MAX];
    CHECK(t->port != 0 && str_host_port_put(&out, t->host, t->port));
    CHECK(str_host_port((char *)out.data, out.len, host, &port, NULL) == 0);
    CHECK(strcmp(host, t->host) == 0 && port == t->port);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct request *r = malloc(sizeof(*r));
    struct front_request got;
    struct front_target target;
    struct err err = {""};
    CHECK(r != NULL);
    request_begin(r);
    feed(r, (const char *)data, len);
    if (request_end(r, &got, &err) == FRONT_TARGET) {
        check_target(&got.target);
    } else {
        struct answer a;
        CHECK(err.text[0] != '\0' && got.bad != FRONT_OK);
        answer_make(&a, &(struct front_answer){.outcome = got.bad, .text = err.text}, false);
        CHECK(a.status >= 400 && a.body.len > 1);
        answer_free(&a);
    }
    if (masque_udp_path((struct str){(const char *)data, len}, &target, NULL) == 0)
        check_target(&target);
    free(r);
    return 0;
}
