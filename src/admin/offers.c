/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/offers.h"

#include <string.h>

#include "admin/admin_internal.h"
#include "base/clock.h"
#include "mux/agents.h"
#include "session/front.h"

#define OFFERS_SHOWN 1000

/* ---- status ---- */

static bool put_text(struct buf *b, const char *key, const char *text)
{
    return buf_printf(b, ",\"%s\":", key) && admin_json_text(b, text);
}

/* Up: visitors are sent there. */
static const char *state_of(const struct agent_facts *f)
{
    return f->down != 0 ? "down" : f->ready ? "up" : "stopping";
}

static bool put_offer(struct buf *b, const struct agent_facts *f)
{
    char peer[NET_ADDR_TEXT_MAX], since[CLOCK_TEXT_MAX];
    bool ok = buf_printf(b, "{\"name\":") && admin_json_text(b, f->offer->name) &&
              put_text(b, "kind", offer_kind_word(f->offer->kind)) &&
              put_text(b, "proto", f->offer->udp ? "udp" : "tcp");
    if (f->offer->port != 0)
        ok = ok && buf_printf(b, ",\"port\":%u", f->offer->port);
    ok = ok && put_text(b, "agent", f->identity) && put_text(b, "peer", net_addr_format(f->peer, peer)) &&
         put_text(b, "transport", f->transport == NULL ? "tcp" : f->transport) &&
         put_text(b, "since", clock_format(f->since, since)) && put_text(b, "state", state_of(f));
    if (f->down != 0)
        ok = ok && put_text(b, "down", front_code((enum front_outcome)f->down));
    return ok && buf_printf(b,
                            ",\"visitors\":%u,\"visitors_total\":%llu,\"bytes_in_total\":%llu,"
                            "\"bytes_out_total\":%llu}",
                            f->visitors, (unsigned long long)f->visits, (unsigned long long)f->bytes_in,
                            (unsigned long long)f->bytes_out);
}

bool offers_json(struct buf *b, struct agent *const *offers, size_t count)
{
    bool ok = buf_printf(b, ",\n\"offers\":[");
    for (size_t i = 0; i < count && i < OFFERS_SHOWN && ok; i++) {
        struct agent_facts facts = agent_facts(offers[i]);
        ok = buf_append(b, ",\n", i > 0 ? 2 : 0) && put_offer(b, &facts);
    }
    ok = ok && buf_append(b, "]", 1);
    return count <= OFFERS_SHOWN ? ok : ok && buf_printf(b, ",\"offers_total\":%zu", count);
}

/* ---- metrics ---- */

static uint64_t figure_agents(const struct agent_facts *f)
{
    (void)f;
    return 1;
}

static uint64_t figure_up(const struct agent_facts *f)
{
    return f->ready && f->down == 0;
}

static uint64_t figure_visitors(const struct agent_facts *f)
{
    return f->visitors;
}

/* A name is made of letters, digits, '-', '_' and '.': nothing in it is escaped. */
static bool put_figure(struct buf *b, struct agent *const *offers, size_t count, const char *word,
                       const char *help, uint64_t (*figure)(const struct agent_facts *))
{
    bool ok = buf_printf(b, "# HELP cardea_%s %s.\n# TYPE cardea_%s gauge\n", word, help, word);
    uint64_t sum = 0;
    for (size_t i = 0; i < count && ok; i++) {
        struct agent_facts facts = agent_facts(offers[i]);
        const char *name = facts.offer->name;
        sum += figure(&facts);
        if (i + 1 < count && strcmp(agent_offer(offers[i + 1])->name, name) == 0)
            continue;
        ok = buf_printf(b, "cardea_%s{name=\"%s\"} %llu\n", word, name, (unsigned long long)sum);
        sum = 0;
    }
    return ok;
}

bool offers_prometheus(struct buf *b, struct agent *const *offers, size_t count)
{
    return put_figure(b, offers, count, "offer_agents", "Agents that offer the name", figure_agents) &&
           put_figure(b, offers, count, "offer_agents_up", "Agents that visitors of the name are sent to",
                      figure_up) &&
           put_figure(b, offers, count, "offer_visitors", "Visitors of the name now", figure_visitors);
}
