/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea ssh-config`: the lines for ~/.ssh/config that lead ssh, and all that uses it, through a door. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/ech_setting.h"
#include "base/file.h"
#include "cmd/cmd.h"
#include "cmd/connect_settings.h"
#include "cmd/shell.h"

#define DEFAULT_PATTERN "*.inside"

static const struct option options[] = {
    CONNECT_SETTING_FLAGS,
    {"help", no_argument, NULL, 'h'},
    {0},
};

static bool is_file(enum connect_setting which, const char *value)
{
    return which == SETTING_CERT || which == SETTING_KEY || which == SETTING_DOH_CA ||
           which == SETTING_DOH_CONFIGS ||
           ((which == SETTING_CA || which == SETTING_SERVICE_CA) && strcmp(value, CONFIG_TRUST_SYSTEM) != 0);
}

/* Append a word of the command. ssh reads '%' as the beginning of something of its own, then gives the line
 * to a shell; it takes no quotes off itself. */
static int put_word(struct buf *command, const char *word)
{
    struct buf doubled = {0};
    for (const char *p = word; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            buf_free(&doubled);
            return cmd_failed("a control character in '%s': a line of ssh's configuration cannot hold it",
                              word);
        }
        buf_append(&doubled, "%", *p == '%');
        buf_append(&doubled, p, 1);
    }
    shell_put_word(command, buf_text(&doubled));
    buf_free(&doubled);
    return CMD_OK;
}

/* ssh is started anywhere: paths are absolute. */
static int put_setting(struct buf *command, enum connect_setting which, const char *value)
{
    struct buf path = {0};
    int status = CMD_OK;
    struct ech_setting ech;
    buf_printf(command, " %s ", connect_setting_flag(which));
    if (which == SETTING_ECH && ech_setting_read(value, &ech)) {
        if (ech_setting_put_absolute(&path, &ech) != 0)
            status = cmd_failed("--ech: cannot find where %s is", value);
        else
            status = put_word(command, buf_text(&path));
        buf_free(&path);
        return status;
    }
    if (!is_file(which, value))
        return put_word(command, value);
    if (file_put_absolute(&path, value) != 0 || access(buf_text(&path), R_OK) != 0)
        status = cmd_failed("%s: cannot read %s", connect_setting_flag(which), value);
    else
        status = put_word(command, buf_text(&path));
    buf_free(&path);
    return status;
}

/* What the client's file says, connect finds there again. The target is in quotes, since what a user calls a
 * host reaches the shell. */
static int put_command(struct buf *command, const struct connect_settings *s)
{
    char *self = realpath("/proc/self/exe", NULL);
    if (self == NULL)
        return cmd_failed("cannot find out where this program is: is /proc there?");
    int status = put_word(command, self);
    free(self);
    buf_printf(command, " connect");
    for (int i = 0; i < SETTINGS && status == CMD_OK; i++)
        if (s->value[i] != NULL && !s->from_file[i])
            status = put_setting(command, (enum connect_setting)i, s->value[i]);
    buf_printf(command, " '%%h:%%p'");
    return status;
}

static int check_patterns(char *const *patterns, int n)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:*?!";
    for (int i = 0; i < n; i++)
        if (*patterns[i] == '\0' || strspn(patterns[i], plain) != strlen(patterns[i]))
            return cmd_misused("ssh-config",
                               "'%s' is no pattern of hosts: expected letters, digits and -_.:*?!",
                               patterns[i]);
    return -1;
}

static void print(const struct connect_settings *s, const struct buf *command, char *const *patterns, int n)
{
    printf("# ssh through the door %s. Lines for ~/.ssh/config, such as with\n"
           "#     cardea ssh-config%s >>~/.ssh/config\n"
           "# A ProxyCommand for the same hosts that stands there before them wins.\n",
           s->value[SETTING_DOOR], n > 0 ? " ..." : "");
    if (n == 0)
        printf("# Host: instead of " DEFAULT_PATTERN " name the hosts that the door's policy lets you reach\n"
               "# (a row with targets such as \"" DEFAULT_PATTERN ":22\"), and names that agents offer\n"
               "# (\"name:*.apps.example.com\"; the port is ignored for those).\n");
    printf("Host");
    for (int i = 0; i < n; i++)
        printf(" %s", patterns[i]);
    printf("%s\n    ProxyCommand %.*s\n", n > 0 ? "" : " " DEFAULT_PATTERN, (int)command->len,
           (const char *)command->data);
    printf("    # The door ends a connection that is silent for its idle_timeout; this keeps it open.\n"
           "    ServerAliveInterval 60\n");
}

static int run(const struct connect_settings *s, char *const *patterns, int n)
{
    struct buf command = {0};
    int status = put_command(&command, s);
    if (status == CMD_OK)
        print(s, &command, patterns, n);
    buf_free(&command);
    return status;
}

int cmd_ssh_config(int argc, char **argv)
{
    struct connect_settings s = {0};
    int status = -1;
    for (int c; status < 0 && (c = cmd_option(argc, argv, "h", options)) != -1;)
        status = c >= CONNECT_OPTION_SETTING ? connect_settings_take(&s, c, "ssh-config")
                                             : cmd_usage("ssh-config", c == 'h');
    if (status < 0)
        status = check_patterns(argv + optind, argc - optind);
    if (status < 0)
        status = connect_settings_complete(&s, "ssh-config");
    if (status < 0)
        status = run(&s, argv + optind, argc - optind);
    connect_settings_free(&s);
    return status;
}
