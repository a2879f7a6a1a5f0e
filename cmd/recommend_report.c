/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hostport.h"
#include "base/str.h"
#include "cmd/recommend.h"

static const char *state_word(enum advice_state state)
{
    static const char *const words[] = {"nothing", "stronger", "undetermined"};
    return words[state];
}

/* ---- what to change ---- */

static void put_quoted(struct buf *out, const char *text)
{
    CHECK(str_json(out, text, strlen(text)));
}

/* The addresses, where TLS is spoken at another port. */
static void put_to(struct buf *out, const struct route_advice *a, int indent)
{
    bool moves = false;
    for (size_t i = 0; i < a->n; i++)
        moves = moves || a->backends[i].port != a->backends[i].at->port;
    if (!moves)
        return;
    CHECK(buf_printf(out, "%*sto: [", indent, ""));
    for (size_t i = 0; i < a->n; i++) {
        struct buf place = {0};
        CHECK(str_host_port_put(&place, a->backends[i].at->host, a->backends[i].port));
        CHECK(buf_printf(out, "%s", i > 0 ? ", " : ""));
        put_quoted(out, buf_text(&place));
        buf_free(&place);
    }
    CHECK(buf_printf(out, "]\n"));
}

static void put_who(struct buf *out, const struct config_backend_tls *t, const struct route_advice *a,
                    int indent)
{
    if (a->name != NULL && (t == NULL || t->name.text == NULL))
        CHECK(buf_printf(out, "%*sname: %s\n", indent, "", a->name));
    if (a->best == MODE_FULL)
        CHECK(buf_printf(out, "%*sverify: any\n", indent, ""));
    if (a->best == MODE_FULL || a->now >= MODE_FULL_STRICT)
        return;
    if (t != NULL)
        CHECK(buf_printf(out, "%*sverify: chain\n", indent, ""));
    CHECK(buf_printf(out, "%*strust: ", indent, ""));
    put_quoted(out, a->trust);
    CHECK(buf_printf(out, "\n"));
}

static void put_strict(struct buf *out, int highest, int indent)
{
    CHECK(buf_printf(out, "%*smin_version: \"1.3\"\n", indent, ""));
    if (highest < CONFIG_TLS_1_3)
        CHECK(buf_printf(out, "%*smax_version: \"1.3\"\n", indent, ""));
    CHECK(buf_printf(out, "%*sgroups: [", indent, ""));
    for (size_t i = 0; i < recommend_groups_len; i++)
        CHECK(buf_printf(out, "%s%s", i > 0 ? ", " : "", config_group_name(recommend_groups[i])));
    CHECK(buf_printf(out, "]\n"));
}

void recommend_yaml(struct buf *out, const struct config *c, const struct route_advice *a, int indent)
{
    const struct config_backend_tls *t = config_route_backend(a->route)->tls;
    if (a->state != ADVICE_STRONGER)
        return;
    CHECK(buf_printf(out, "%*s%s:\n", indent, "", config_action_name(a->route->action)));
    put_to(out, a, indent + 2);
    CHECK(buf_printf(out, "%*stls:\n", indent + 2, ""));
    put_who(out, t, a, indent + 4);
    if (a->best == MODE_STRICT)
        put_strict(out, (int)(t != NULL ? t->max_version : c->tls.max_version), indent + 4);
}

/* ---- for people ---- */

static void put_pages(struct buf *out, const struct page_walk_result *p)
{
    CHECK(buf_printf(out, "    %-12s %zu the same", "pages", p->same));
    if (p->same > 0)
        CHECK(buf_printf(out, " (likeness %.2f or more)", p->likeness));
    CHECK(buf_printf(out, ", %zu differ, %zu tell nothing%s\n", p->differ, p->untold,
                     p->cut ? "; the deadline came before the end" : ""));
    if (p->to_tls > 0)
        CHECK(buf_printf(out, "    %-12s %zu of them only lead to themselves by https:\n", "", p->to_tls));
}

static void put_backend(struct buf *out, const struct backend_advice *b)
{
    CHECK(buf_printf(out, "  %s\n", b->at->text.text));
    for (int m = MODE_FULL; m < MODES; m++) {
        const struct rung *r = &b->rungs[m];
        if (r->tried)
            CHECK(buf_printf(out, "    %-12s %s%s%s\n", recommend_mode_word((enum backend_mode)m),
                             r->works ? "works" : "fails", r->text[0] != '\0' ? ": " : "", r->text));
    }
    if (b->walked)
        put_pages(out, &b->pages);
    if (b->note.text[0] != '\0')
        CHECK(buf_printf(out, "    %-12s %s\n", "note", b->note.text));
}

void recommend_text(struct buf *out, const struct config *c, const struct route_advice *a)
{
    CHECK(buf_printf(out, "%s: %s now; ", a->route->name.text, recommend_mode_word(a->now)));
    if (a->state == ADVICE_STRONGER)
        CHECK(buf_printf(out, "%s is possible\n", recommend_mode_word(a->best)));
    else
        CHECK(buf_printf(out, "%s\n",
                         a->state == ADVICE_NOTHING ? "nothing stronger works"
                                                    : "what is possible could not be determined"));
    for (size_t i = 0; i < a->n; i++)
        put_backend(out, &a->backends[i]);
    if (a->state != ADVICE_STRONGER)
        return;
    CHECK(buf_printf(out, "  change in the route, and leave the other keys as they are:\n"));
    recommend_yaml(out, c, a, 4);
}

/* ---- for machines ---- */

static json_t *pages_json(const struct page_walk_result *p)
{
    return json_pack("{s:i, s:i, s:i, s:i, s:f, s:b, s:s?, s:s?}", "same", (int)p->same, "differ",
                     (int)p->differ, "untold", (int)p->untold, "to_tls", (int)p->to_tls, "likeness",
                     p->likeness, "cut", p->cut, "path", p->path[0] != '\0' ? p->path : NULL, "detail",
                     p->why.text[0] != '\0' ? p->why.text : NULL);
}

static json_t *backend_json(const struct backend_advice *b)
{
    json_t *modes = json_object(), *told;
    for (int m = MODE_FULL; m < MODES; m++)
        if (b->rungs[m].tried)
            json_object_set_new(
                modes, recommend_mode_word((enum backend_mode)m),
                json_pack("{s:b, s:s}", "works", b->rungs[m].works, "detail", b->rungs[m].text));
    told = json_pack("{s:s, s:s, s:s, s:s?, s:o}", "backend", b->at->text.text, "result",
                     state_word(b->state), "strongest", recommend_mode_word(b->best), "note",
                     b->note.text[0] != '\0' ? b->note.text : NULL, "modes", modes);
    json_object_set_new(told, "port", b->port != 0 ? json_integer(b->port) : json_null());
    json_object_set_new(told, "pages", b->walked ? pages_json(&b->pages) : json_null());
    return told;
}

void recommend_json(struct buf *out, const struct config *c, const struct route_advice *a)
{
    struct buf yaml = {0};
    json_t *backends = json_array();
    bool better = a->state == ADVICE_STRONGER;
    for (size_t i = 0; i < a->n; i++)
        json_array_append_new(backends, backend_json(&a->backends[i]));
    recommend_yaml(&yaml, c, a, 0);
    json_t *told = json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:o}", "route", a->route->name.text, "result",
                             state_word(a->state), "mode", recommend_mode_word(a->now), "recommended",
                             better ? recommend_mode_word(a->best) : NULL, "change",
                             better ? buf_text(&yaml) : NULL, "backends", backends);
    char *text = json_dumps(told, JSON_COMPACT);
    CHECK(text != NULL && buf_printf(out, "%s\n", text));
    free(text);
    json_decref(told);
    buf_free(&yaml);
}
