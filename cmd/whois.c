/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea whois`: who is on the other end of a connection that a backend has from the running door. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/record.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hostport.h"
#include "cmd/admin_client.h"
#include "cmd/cmd.h"

#define WHOIS_NS (10 * NSEC_PER_SEC)

static int ask(const char *socket, const char *key, const char *which)
{
    char path[64 + HOST_MAX];
    struct err err;
    json_t *answer;
    snprintf(path, sizeof(path), "/whois?%s=%s", key, which);
    int code = admin_ask(socket, "GET", path, WHOIS_NS, &answer, &err), status = CMD_OK;
    if (code < 0)
        return cmd_failed("%s", err.text);
    const json_t *all = json_object_get(answer, "connections");
    size_t count = json_array_size(all);
    if (code != 200)
        status = cmd_failed("the door answered %d to %s: is it another version?", code, path);
    else if (count == 1)
        cmd_print_json(json_array_get(all, 0));
    else if (count == 0)
        status = cmd_failed("no open connection has the %s %s", *key == 'i' ? "id" : "address", which);
    else
        status = cmd_failed(
            "%zu open connections have the address %s, to several backends: ask by id, which a PROXY "
            "header of version 2 tells",
            count, which);
    json_decref(answer);
    return status;
}

int cmd_whois(int argc, char **argv)
{
    const char *socket = NULL;
    bool json; /* as with other verbs, which have something else too */
    const struct cmd_flag flags[] = {{"socket", .text = &socket}, {"json", .on = &json}};
    char host[HOST_MAX];
    uint64_t id;
    uint16_t port;
    int status;
    if (!cmd_flags("whois", argc, argv, flags, ARRAY_LEN(flags), &status))
        return status;
    if (optind + 1 != argc)
        return cmd_misused("whois",
                           "which connection? Give one id, or one ADDRESS:PORT that its backend sees");
    const char *which = argv[optind];
    if (audit_id_parse(which, &id))
        return ask(socket, "id", which);
    if (strlen(which) < HOST_MAX && str_host_port(which, strlen(which), host, &port, NULL) == 0)
        return ask(socket, "from", which);
    return cmd_misused("whois", "%s is neither an id nor ADDRESS:PORT", which);
}
