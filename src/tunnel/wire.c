/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/wire.h"

#include <string.h>

#include "audit/record.h"
#include "base/check.h"
#include "base/clean.h"
#include "base/str.h"
#include "quic/flow_link.h"
#include "session/session.h"
#include "tunnel/agent_wire.h"
#include "tunnel/door_offer.h"
#include "tunnel/door_proof.h"
#include "tunnel/door_renewal.h"

static const char *const texts[FRONT_OUTCOMES] = {
#define OUTCOME(name, code, status, phrase, type, socks, text) text,
#include "tables/outcomes.def"
#undef OUTCOME
};

/* ---- writing ---- */

static const char *proto_of(const struct front_target *target)
{
    return target->offered ? "name" : target->udp ? "udp" : "tcp";
}

bool wire_encode_hello(const struct front_target *target, struct wire_client client, struct buf *out)
{
    CHECK(strnlen(target->host, HOST_MAX) < HOST_MAX);
    struct buf place = {0};
    size_t at;
    bool ok = target->offered ? buf_printf(&place, "%s", target->host)
                              : str_host_port_put(&place, target->host, target->port);
    const char *text = ok ? buf_text(&place) : NULL;
    ok = message_begin(out, &at) && text != NULL && message_put_string(out, "target", text) &&
         message_put_string(out, "proto", proto_of(target)) &&
         (!client.datagrams || buf_printf(out, ",\"datagrams\":true")) &&
         (!client.renews || buf_printf(out, ",\"renews\":true"));
    buf_free(&place);
    return message_end(out, at, ok);
}

bool wire_encode_offer(const struct offer *offer, bool renews, bool proves, struct buf *out)
{
    CHECK(strnlen(offer->name, HOST_MAX) < HOST_MAX && offer->kind < OFFER_KINDS);
    size_t at;
    bool ok = message_begin(out, &at) && message_put_string(out, "offer", offer->name) &&
              message_put_string(out, "kind", offer_kind_word(offer->kind)) &&
              message_put_string(out, "proto", offer->udp ? "udp" : "tcp") &&
              (offer->port == 0 || buf_printf(out, ",\"port\":%u", offer->port)) &&
              (offer->instance == 0 ||
               buf_printf(out, ",\"instance\":%llu", (unsigned long long)offer->instance)) &&
              (offer->connections == 0 || buf_printf(out, ",\"connections\":%u", offer->connections)) &&
              (!renews || buf_printf(out, ",\"renews\":true")) &&
              (!proves || buf_printf(out, ",\"proves\":true"));
    return message_end(out, at, ok);
}

bool wire_encode_spare(const char *id, struct buf *out)
{
    size_t at;
    bool ok = message_begin(out, &at) && message_put_string(out, "spare", id);
    return message_end(out, at, ok);
}

static bool encode_answer(const struct front_answer *answer, struct buf *out)
{
    CHECK(answer->outcome < FRONT_OUTCOMES);
    bool yes = answer->outcome == FRONT_OK;
    /* Cut to what a client takes; so the message cannot outgrow WIRE_JSON_MAX, whatever the escaping adds. */
    char rule[WIRE_RULE_MAX] = "", text[WIRE_TEXT_MAX], id[AUDIT_ID_MAX];
    if (answer->outcome == FRONT_DENIED && answer->rule != NULL)
        str_clean(rule, sizeof(rule), answer->rule);
    str_clean(text, sizeof(text), answer->text != NULL ? answer->text : texts[answer->outcome]);

    size_t at;
    bool ok = message_begin(out, &at) && buf_printf(out, ",\"ok\":%s", yes ? "true" : "false");
    if (!yes)
        ok = ok && message_put_string(out, "code", front_code(answer->outcome)) &&
             (rule[0] == '\0' || message_put_string(out, "rule", rule)) &&
             message_put_string(out, "text", text);
    else if (answer->tls || answer->datagrams)
        ok = ok && buf_printf(out, ",\"%s\":true", answer->tls ? "tls" : "datagrams");
    if (yes && answer->connection != 0)
        ok = ok && message_put_string(out, "connection", audit_id_text(answer->connection, id));
    if (yes && answer->warning != NULL) {
        str_clean(text, sizeof(text), answer->warning);
        ok = ok && message_put_string(out, "warning", text);
    }
    return message_end(out, at, ok);
}

/* ---- reading ---- */

static int read_target(const char *target, const char *proto, struct front_target *ret, struct err *err)
{
    *ret = (struct front_target){
        .udp = proto != NULL && strcmp(proto, "udp") == 0,
        .offered = proto != NULL && strcmp(proto, "name") == 0,
    };
    if (proto != NULL && !ret->udp && !ret->offered && strcmp(proto, "tcp") != 0)
        return err_set(err, "\"proto\" is neither \"tcp\", \"udp\" nor \"name\"");
    if (ret->offered)
        return message_name("target", target, ret->host, err);
    if (str_host_port(target, strlen(target), ret->host, &ret->port, err) < 0)
        return err_prefix(err, "\"target\" is not HOST:PORT");
    return 0;
}

static int read_kind(const char *kind, enum offer_kind *ret, struct err *err)
{
    *ret = OFFER_PRIVATE;
    if (kind == NULL)
        return 0;
    for (*ret = 0; *ret < OFFER_KINDS; ++*ret)
        if (strcmp(kind, offer_kind_word(*ret)) == 0)
            return 0;
    return err_set(err, "\"kind\" is none of"
#define KIND(NAME, word) " \"" word "\""
#include "tables/offer_kinds.def"
#undef KIND
    );
}

static int read_connections(const json_t *o, uint32_t *ret, struct err *err)
{
    const json_t *connections = json_object_get(o, "connections");
    json_int_t n = json_integer_value(connections);
    *ret = 0;
    if (connections == NULL)
        return 0;
    if (!json_is_integer(connections) || n < 1)
        return err_set(err, "\"connections\" is not a number from 1");
    *ret = (uint32_t)MIN(n, (json_int_t)UINT32_MAX);
    return 0;
}

static int read_instance(const json_t *o, uint64_t *ret, struct err *err)
{
    const json_t *instance = json_object_get(o, "instance");
    json_int_t n = json_integer_value(instance);
    *ret = 0;
    if (instance == NULL)
        return 0;
    if (!json_is_integer(instance) || n < 1 || (uint64_t)n >= OFFER_INSTANCES)
        return err_set(err, "\"instance\" is not a number from 1 to 2^53 - 1");
    *ret = (uint64_t)n;
    return 0;
}

static int read_offer(const json_t *o, const char *name, const char *proto, struct offer *ret,
                      struct err *err)
{
    const char *kind;
    const json_t *port = json_object_get(o, "port");
    *ret = (struct offer){.udp = proto != NULL && strcmp(proto, "udp") == 0};
    if (message_name("offer", name, ret->name, err) < 0 || message_string(o, "kind", &kind, err) < 0 ||
        read_kind(kind, &ret->kind, err) < 0)
        return -1;
    if (proto != NULL && !ret->udp && strcmp(proto, "tcp") != 0)
        return err_set(err, "\"proto\" is neither \"tcp\" nor \"udp\"");
    if (port != NULL) {
        json_int_t n = json_integer_value(port);
        if (!json_is_integer(port) || n < 1 || n > UINT16_MAX)
            return err_set(err, "\"port\" is not a number from 1 to 65535");
        if (ret->kind != OFFER_PUBLIC)
            return err_set(err, "\"port\" goes with \"kind\" \"public\" only");
        ret->port = (uint16_t)n;
    }
    if (ret->udp && ret->port == 0)
        return err_set(err, "\"proto\" \"udp\" needs a \"port\"");
    if (read_instance(o, &ret->instance, err) < 0)
        return -1;
    return read_connections(o, &ret->connections, err);
}

/* The one thing that a hello asks for. */
static int read_request(const json_t *o, struct front_request *ret, enum front_result *ret_what,
                        struct err *err)
{
    const char *target, *offer, *spare, *renew, *proto;
    if (message_string(o, "target", &target, err) < 0 || message_string(o, "offer", &offer, err) < 0 ||
        message_string(o, "spare", &spare, err) < 0 || message_string(o, "renew", &renew, err) < 0 ||
        message_string(o, "proto", &proto, err) < 0)
        return -1;
    int asked = (target != NULL) + (offer != NULL) + (spare != NULL) + (renew != NULL);
    if (asked == 0)
        return err_set(err, "\"target\" is missing, and neither \"offer\", \"spare\" nor \"renew\" is there");
    if (asked > 1)
        return err_set(err, "more than one of \"target\", \"offer\", \"spare\" and \"renew\"");
    if (renew != NULL) {
        *ret_what = FRONT_RENEW;
        return audit_id_parse(renew, &ret->renew) ? 0
                                                  : err_set(err, "\"renew\" is not the id of a connection");
    }
    if (spare != NULL) {
        *ret_what = FRONT_SPARE;
        return message_id("spare", spare, ret->spare, err);
    }
    *ret_what = offer != NULL ? FRONT_OFFER : FRONT_TARGET;
    return offer != NULL ? read_offer(o, offer, proto, &ret->offer, err)
                         : read_target(target, proto, &ret->target, err);
}

static enum front_result ask(const uint8_t *data, size_t len, struct front_request *ret, struct err *err)
{
    json_t *o;
    enum front_result what = FRONT_MORE;
    *ret = (struct front_request){.bad = FRONT_BAD_HELLO};
    switch (message_read(data, len, &o, &ret->used, err)) {
    case WIRE_MORE:
        return FRONT_MORE;
    case WIRE_BAD:
        return FRONT_BAD;
    case WIRE_OK:
        break;
    }
    bool there;
    int r = read_request(o, ret, &what, err);
    if (r == 0)
        r = message_bool(o, "datagrams", &there, &ret->datagrams, err);
    if (r == 0)
        r = message_bool(o, "renews", &there, &ret->renews, err);
    if (r == 0)
        r = message_bool(o, "proves", &there, &ret->proves, err);
    if (r == 0 && ret->proves && what != FRONT_OFFER)
        r = err_set(err, "\"proves\" goes with \"offer\" only");
    json_decref(o);
    return r < 0 ? FRONT_BAD : what;
}

static struct resident *reside(struct worker *w, struct link *link, const struct session_origin *origin,
                               struct str early, struct err *err)
{
    if (origin->request->renew != 0)
        return door_renewal_reside(w, link, origin, early);
    return origin->request->proves ? door_proof_reside(w, link, origin, early)
                                   : door_offer_reside(w, link, origin, early, err);
}

/* The stream becomes a flow of datagrams, where there are any. */
static struct link *wrap(struct link *down, const struct front_request *request, struct str early,
                         struct str unsent)
{
    return request->datagrams ? flow_link(down, early, unsent) : down;
}

static const struct agent_protocol agent_protocol_cardea = {.greet = wire_greet_agent,
                                                            .greeted = wire_agent_greeted};

const struct front front_cardea = {
    .name = WIRE_ALPN,
    .max = WIRE_MESSAGE_MAX,
    .over_quic = true,
    .readied = true,
    .ask = ask,
    .answer = encode_answer,
    .renews = true,
    .reside = reside,
    .agent = &agent_protocol_cardea,
    .wrap = wrap,
};

enum front_outcome wire_outcome(const char *code)
{
    for (unsigned i = FRONT_OK + 1; i < FRONT_OUTCOMES; i++)
        if (strcmp(front_code((enum front_outcome)i), code) == 0)
            return (enum front_outcome)i;
    return FRONT_UNREACHABLE;
}

static int read_answer(const json_t *o, struct wire_answer *ret, struct err *err)
{
    bool ok, there;
    const char *code, *rule, *text, *warning, *connection;
    *ret = (struct wire_answer){0};
    if (message_bool(o, "ok", &there, &ok, err) < 0)
        return -1;
    if (!there)
        return err_set(err, "\"ok\" is missing");
    if (message_string(o, "code", &code, err) < 0 || message_string(o, "rule", &rule, err) < 0 ||
        message_string(o, "text", &text, err) < 0 || message_bool(o, "tls", &there, &ret->tls, err) < 0 ||
        message_bool(o, "datagrams", &there, &ret->datagrams, err) < 0 ||
        message_string(o, "warning", &warning, err) < 0 ||
        message_string(o, "connection", &connection, err) < 0)
        return -1;
    if (connection != NULL && !audit_id_parse(connection, &ret->connection))
        return err_set(err, "\"connection\" is not the id of one");
    if (ok)
        code = front_code(FRONT_OK);
    else if (code == NULL)
        return err_set(err, "\"code\" is missing");
    ret->outcome = ok ? FRONT_OK : wire_outcome(code);
    if (text == NULL || text[0] == '\0')
        text = texts[ret->outcome];
    str_clean(ret->code, sizeof(ret->code), code);
    str_clean(ret->rule, sizeof(ret->rule), rule != NULL ? rule : "");
    str_clean(ret->text, sizeof(ret->text), text);
    str_clean(ret->warning, sizeof(ret->warning), ok && warning != NULL ? warning : "");
    return 0;
}

enum wire_result wire_parse_answer(const uint8_t *data, size_t len, struct wire_answer *ret, size_t *ret_used,
                                   struct err *err)
{
    json_t *o;
    enum wire_result r = message_read(data, len, &o, ret_used, err);
    if (r != WIRE_OK)
        return r;
    r = read_answer(o, ret, err) < 0 ? WIRE_BAD : WIRE_OK;
    json_decref(o);
    return r;
}
