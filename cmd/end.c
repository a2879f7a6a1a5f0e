/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea end`: open connections of the running door are ended. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>

#include "audit/record.h"
#include "base/check.h"
#include "base/clock.h"
#include "cmd/admin_client.h"
#include "cmd/cmd.h"

#define END_NS (10 * NSEC_PER_SEC)

static int end_one(const char *socket, const char *id)
{
    char path[32 + AUDIT_ID_MAX];
    struct err err;
    json_t *answer;
    snprintf(path, sizeof(path), "/end?id=%s", id);
    int code = admin_ask(socket, "POST", path, END_NS, &answer, &err);
    if (code < 0)
        return cmd_failed("%s", err.text);
    long long count = (long long)json_integer_value(json_object_get(answer, "ended"));
    json_decref(answer);
    if (code != 200)
        return cmd_failed("the door answered %d to %s: is it another version?", code, path);
    return count > 0 ? CMD_OK
                     : cmd_failed("no open connection has the id %s: see `cardea status --sessions`", id);
}

int cmd_end(int argc, char **argv)
{
    const char *socket = NULL;
    const struct cmd_flag flags[] = {{"socket", .text = &socket}};
    int status;
    uint64_t id;
    if (!cmd_flags("end", argc, argv, flags, ARRAY_LEN(flags), &status))
        return status;
    if (optind == argc)
        return cmd_misused("end", "which connection? Give its id, as `cardea status --sessions` shows it");
    for (int i = optind; i < argc; i++)
        if (!audit_id_parse(argv[i], &id))
            return cmd_misused(
                "end", "%s is no id: expected %d letters and digits as `cardea status --sessions` shows",
                argv[i], AUDIT_ID_MAX - 1);
    status = CMD_OK;
    for (int i = optind; i < argc; i++)
        if (end_one(socket, argv[i]) != CMD_OK)
            status = CMD_FAILED;
    return status;
}
