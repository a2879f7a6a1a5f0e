/* SPDX-License-Identifier: Apache-2.0 */
/* What the user of a client reads when it does not work. */
#include <string.h>
#include <time.h>

#include "audit/reason.h"
#include "base/alert.h"
#include "base/check.h"
#include "tunnel/client_internal.h"

const char *client_text_place(const char *host, uint16_t port, char text[CLIENT_PLACE_MAX])
{
    struct buf b = {0};
    CHECK(str_host_port_put(&b, host, port) && b.len < CLIENT_PLACE_MAX);
    memcpy(text, b.data, b.len);
    text[b.len] = '\0';
    buf_free(&b);
    return text;
}

int client_text_dial(const struct client_door *door, enum dial_status status, struct err *ret)
{
    switch (status) {
    case DIAL_NO_SUCH_HOST:
        return err_set(ret, "cannot find the door: no such host: %s", door->host);
    case DIAL_UNRESOLVED:
        return err_set(ret,
                       "cannot find the door: the name servers of this machine do not tell about %s: "
                       "does its network work?",
                       door->host);
    case DIAL_REFUSED:
        return err_set(ret, "the door %s refused the connection: is it running, and is that its port?",
                       door->place);
    default:
        return err_set(ret, "the door %s cannot be reached: no network leads there from here", door->place);
    }
}

int client_text_no_ech(const struct client_door *door, struct err *ret)
{
    struct err why;
    ech_offer_is_unknown(&door->ech, &why);
    return err_set(
        ret, "no connection to the door %s without Encrypted ClientHello (--ech): no config is known: %s",
        door->place, why.text);
}

/* ---- what the door told us in an alert ---- */

/* The text reads on from "the door HOST:PORT ". */
static const struct {
    enum alert alert;
    const char *text;
} alerts[] = {
    {ALERT_CERTIFICATE_EXPIRED, "does not accept our certificate: it has expired, or is not valid yet"},
    {ALERT_CERTIFICATE_REVOKED, "does not accept our certificate: it has been revoked"},
    {ALERT_UNKNOWN_CA,
     "does not accept our certificate: it does not know the certification authority that issued it"},
    {ALERT_BAD_CERTIFICATE, "does not accept our certificate"},
    {ALERT_UNSUPPORTED_CERTIFICATE,
     "does not accept our certificate: it is not one for clients (extendedKeyUsage)"},
    {ALERT_CERTIFICATE_UNKNOWN, "does not accept our certificate: it cannot tell whether it was revoked"},
    {ALERT_ACCESS_DENIED, "says denied: its policy does not let us use this route"},
    {ALERT_PROTOCOL_VERSION, "speaks no version of TLS that we speak (1.2 and 1.3)"},
    {ALERT_INSUFFICIENT_SECURITY, "asks for stronger cryptography than we offer"},
    {ALERT_INTERNAL_ERROR,
     "has an error inside, or holds as many connections as it may; its log may say more"},
};

/* We hold the file, so we can tell which it is and what its dates are. False when they are good: then it is
 * another certificate of the chain, or a clock. */
static bool explain_expired(const struct client_door *door, struct err *ret)
{
    const struct cert *cert = door->cert;
    int64_t now = time(NULL);
    struct err why;
    if (cert == NULL || (cert->not_before <= now && now <= cert->not_after) || !cert_warning(cert, now, &why))
        return false;
    err_set(ret, "the door %s does not accept our certificate: %s", door->place, why.text);
    return true;
}

/* An alert of who finds nothing in common with a client that insists, on post-quantum key exchange or on
 * none. Reads on as the texts above; NULL: it is none. */
static const char *explain_pq(enum tls_pq pq, uint8_t alert)
{
    bool nothing_shared = alert == ALERT_HANDSHAKE_FAILURE || alert == ALERT_PROTOCOL_VERSION;
    if (pq == TLS_PQ_REQUIRE && (nothing_shared || alert == ALERT_INSUFFICIENT_SECURITY))
        return "finds nothing to agree on: it may have no post-quantum key exchange, and nothing else is "
               "offered ('pq: require')";
    if (pq == TLS_PQ_OFF && alert == ALERT_INSUFFICIENT_SECURITY)
        return "asks for stronger cryptography than we offer: it may demand post-quantum key exchange, which "
               "'pq: off' leaves out";
    return NULL;
}

/* False when it is none of the alerts that we have more to say about. */
static bool explain_alert(const struct client_door *door, uint8_t alert, struct err *ret)
{
    const char *pq = explain_pq(door->pq, alert);
    if (pq != NULL) {
        err_set(ret, "the door %s %s", door->place, pq);
        return true;
    }
    switch (alert) {
    case ALERT_CERTIFICATE_REQUIRED:
        err_set(ret, "the door %s wants a client certificate: %s", door->place,
                door->cert != NULL ? "it did not take ours" : "give --cert and --key, or run 'cardea login'");
        return true;
    case ALERT_UNRECOGNIZED_NAME:
        err_set(ret, "the door %s knows nothing named %s: is the name right?%s", door->place, door->name,
                door->named ? "" : " --name gives the one in its certificate");
        return true;
    case ALERT_NO_APPLICATION_PROTOCOL:
        err_set(ret, "the door %s has nothing named %s that speaks %s", door->place, door->name,
                door->alpn != NULL ? door->alpn : "without ALPN");
        return true;
    case ALERT_CERTIFICATE_EXPIRED:
        if (explain_expired(door, ret))
            return true;
        break;
    default:
        break;
    }
    for (size_t i = 0; i < ARRAY_LEN(alerts); i++)
        if (alert == alerts[i].alert) {
            err_set(ret, "the door %s %s", door->place, alerts[i].text);
            return true;
        }
    return false;
}

bool client_is_refused(const struct link_peer *peer)
{
    static const uint8_t refusals[] = {ALERT_CERTIFICATE_REQUIRED,    ALERT_UNRECOGNIZED_NAME,
                                       ALERT_NO_APPLICATION_PROTOCOL, ALERT_CERTIFICATE_EXPIRED,
                                       ALERT_ACCESS_DENIED,           ALERT_BAD_CERTIFICATE,
                                       ALERT_UNSUPPORTED_CERTIFICATE, ALERT_CERTIFICATE_REVOKED,
                                       ALERT_CERTIFICATE_UNKNOWN,     ALERT_UNKNOWN_CA,
                                       ALERT_INSUFFICIENT_SECURITY};
    return *peer->failure == '\0' && memchr(refusals, peer->alert, sizeof(refusals)) != NULL;
}

/* What most likely helps. */
static const char *unproven_hint(const struct client_door *door, enum fault fault)
{
    if (door->system_ca && fault == FAULT_UNKNOWN_ISSUER)
        return "; if a CA of your own issued it, name that with --ca";
    if (!door->named && fault == FAULT_OTHER_NAME)
        return "; --name gives the name in its certificate";
    return "";
}

int client_text_tls(const struct client_door *door, const struct link *tls, bool opened, struct err *ret)
{
    struct link_peer peer;
    link_peer(tls, &peer);
    return client_text_peer(door, &peer, link_error(tls), opened, ret);
}

int client_text_peer(const struct client_door *door, const struct link_peer *peer, const char *word,
                     bool opened, struct err *ret)
{
    const char *why = peer->failure;
    if (*why != '\0')
        return err_set(ret, "the door %s does not prove to be %s: %s%s", door->place, door->name, why,
                       unproven_hint(door, peer->fault));
    if (explain_alert(door, peer->alert, ret))
        return -1;
    if (peer->fault == FAULT_NOT_TLS)
        return err_set(ret, "the door %s does not speak TLS: is that its port?", door->place);
    if (peer->fault == FAULT_ECH)
        return err_set(ret, "no TLS with the door %s by Encrypted ClientHello (--ech): %s", door->place,
                       word);
    if (opened)
        return err_set(ret, "the connection to the door %s broke: %s", door->place, word);
    if (door->alpn == NULL || strcmp(door->alpn, WIRE_ALPN) != 0)
        return err_set(
            ret,
            "no TLS with the door %s as %s: %s; where that route passes TLS through, its backend may "
            "answer no more: ask who runs the door, whose audit line says why",
            door->place, door->name, word);
    return err_set(ret, "no TLS with the door %s as %s: %s%s", door->place, door->name, word,
                   door->cert != NULL ? "" : " (does it want a client certificate? --cert, --key)");
}

/* Whose certificate it is not: the CA that was asked is another's. */
static int service_unproven(const struct client_door *door, const struct front_target *target,
                            const struct link_peer *peer, struct err *ret)
{
    err_set(ret, "the service %s does not prove to be it: %s", target->host, peer->failure);
    if (peer->fault != FAULT_UNKNOWN_ISSUER)
        return -1;
    struct err text = *ret;
    if (door->service_ca != NULL)
        return err_set(ret, "%s; is %s (--service-ca) the CA that issued it?", text.text, door->service_ca);
    return err_set(ret,
                   "%s; it was checked against %s (--ca): another CA for services is named with --service-ca",
                   text.text, door->system_ca ? "the system's" : door->ca);
}

int client_text_inner(const struct client_door *door, const struct front_target *target,
                      const struct link *tls, struct err *ret)
{
    struct link_peer peer;
    link_peer(tls, &peer);
    if (*peer.failure != '\0')
        return service_unproven(door, target, &peer, ret);
    const char *pq = explain_pq(door->pq, peer.alert);
    if (pq != NULL)
        return err_set(ret, "the service %s %s", target->host, pq);
    for (size_t i = 0; i < ARRAY_LEN(alerts); i++)
        if (peer.alert == alerts[i].alert && peer.alert == ALERT_ACCESS_DENIED)
            return err_set(ret, "denied: the service %s does not let us in", target->host);
        else if (peer.alert == alerts[i].alert)
            return err_set(ret, "the service %s %s", target->host, alerts[i].text);
    if (peer.alert == ALERT_CERTIFICATE_REQUIRED)
        return err_set(ret, "the service %s wants a client certificate", target->host);
    return err_set(ret, "the TLS connection to the service %s broke: %s", target->host, link_error(tls));
}

/* ---- amid the bytes ---- */

static const char *put_place(const struct front_target *target, char ret[CLIENT_PLACE_MAX])
{
    if (!target->offered)
        return client_text_place(target->host, target->port, ret);
    str_copy(ret, CLIENT_PLACE_MAX, target->host, strlen(target->host));
    return ret;
}

int client_text_cut(const struct client_door *door, const struct front_target *target,
                    const struct client_cut *cut, struct err *ret)
{
    char place[CLIENT_PLACE_MAX];
    bool route = target->host[0] == '\0';
    const char *to = route ? door->name : put_place(target, place), *why = close_code_text(cut->code);
    if (!cut->told && cut->inner)
        why = "the service ended it without saying that this was all";
    else if (!cut->told)
        why = "the way to the door broke, or the door was killed";
    else if (route && cut->silent)
        return err_set(ret,
                       "the door %s broke the connection for %s off before a byte came: most likely nothing "
                       "answers where its route leads; ask who runs the door, whose audit line says why",
                       door->place, to);
    else if (why == NULL)
        why = "by what is at its end, or by the door (time was over, or it stopped), whose audit line says "
              "which";
    return err_set(ret, "the connection to %s through the door %s was cut off: %s; what came may not be all",
                   to, door->place, why);
}

/* ---- the door's answer ---- */

/* What else is good to know, by the outcome; behind the door's own words. */
static const char *const advice[FRONT_OUTCOMES] = {
    [FRONT_NO_SUCH_HOST] = " (it is looked up at the door, not here)",
    [FRONT_UNRESOLVED] =
        "; it may exist: try again later, or ask who runs the door, whose audit line says more",
    [FRONT_LIMIT] = "; try again later",
};

static int denied(const struct wire_answer *answer, const char *place, bool offered, struct err *ret)
{
    const char *text = answer->text;
    bool named = answer->rule[0] == '\0' || strstr(text, answer->rule) != NULL;
    bool placed = strstr(text, place) != NULL;
    /* A name alone is asked for as such. */
    const char *port = offered ? "; for a host behind the door say its port: " : "";
    return err_set(ret, "denied: %s%s%s%s%s%s%s%s%s", text, placed ? "" : ": ", placed ? "" : place,
                   named ? "" : " (rule ", named ? "" : answer->rule, named ? "" : ")", port,
                   offered ? place : "", offered ? ":PORT" : "");
}

int client_text_answer(const struct front_target *target, const struct wire_answer *answer, struct err *ret)
{
    char place[CLIENT_PLACE_MAX];
    put_place(target, place);
    switch (answer->outcome) {
    case FRONT_DENIED:
        return denied(answer, place, target->offered, ret);
    case FRONT_BAD_HELLO:
    case FRONT_BAD_METHOD:
    case FRONT_BAD_PROTOCOL:
        return err_set(ret, "the door refused the request: %s", answer->text);
    case FRONT_NO_SUCH_HOST:
        if (target->offered)
            return err_set(
                ret, "no agent offers %s at the door; for a host behind the door say the port too: %s:PORT",
                place, place);
        break;
    default:
        break;
    }
    const char *more = advice[answer->outcome];
    bool placed = strstr(answer->text, place) != NULL;
    return err_set(ret, "%s%s%s%s", answer->text, placed ? "" : ": ", placed ? "" : place,
                   more != NULL ? more : "");
}
