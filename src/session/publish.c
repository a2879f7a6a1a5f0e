/* SPDX-License-Identifier: Apache-2.0 */
#include "session/publish.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "ech/publisher.h"

static void put_alpn(const struct config_texts *alpn, struct buf *out)
{
    for (size_t i = 0; i < alpn->n; i++)
        CHECK(buf_printf(out, "%s%s", i > 0 ? "," : "", alpn->v[i].text));
}

void publish_install(struct ech_publisher *publisher, const struct snapshot *snap)
{
    const struct config_ech *e = snap->config->ech;
    if (snap->ech == NULL || e->publish == NULL) {
        ech_publisher_set(publisher, NULL, NULL);
        return;
    }
    const struct config_ech_publish *from = e->publish;
    const struct config_dns *dns = from->dns;
    struct buf alpn = {0};
    const char **names = calloc(from->names.n + 1, sizeof(*names));
    CHECK(names != NULL);
    for (size_t i = 0; i < from->names.n; i++)
        names[i] = from->names.v[i].text;
    put_alpn(&from->alpn, &alpn);
    struct ech_publisher_settings settings = {.names = names,
                                              .names_len = from->names.n,
                                              .alpn = alpn.len > 0 ? buf_text(&alpn) : "",
                                              .ttl = from->ttl / NSEC_PER_SEC,
                                              .settle = dns->settle / NSEC_PER_SEC,
                                              .hook = dns->hook,
                                              .hook_timeout = dns->hook_timeout,
                                              .zone = dns->zone.text,
                                              .key_name = dns->key.text,
                                              .secret_file = dns->secret_file.text};
    if (dns->hook == NULL)
        net_addr_parse(dns->server.host, dns->server.port, &settings.server);
    ech_publisher_set(publisher, snap->ech, &settings);
    buf_free(&alpn);
    free(names);
}
