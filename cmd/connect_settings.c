/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/connect_settings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/cmd.h"
#include "config/config.h"

static const char *const variables[SETTINGS] = {
    [SETTING_DOOR] = "CARDEA_DOOR", [SETTING_CERT] = "CARDEA_CERT", [SETTING_KEY] = "CARDEA_KEY",
    [SETTING_CA] = "CARDEA_CA",     [SETTING_NAME] = "CARDEA_NAME",
};

/* A variable that is set to nothing counts as not set. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

/* $XDG_CONFIG_HOME/cardea/config.yaml; that variable stands for ~/.config where it is not set. NULL: no home.
 */
static char *file_path(void)
{
    struct buf b = {0};
    const char *config = variable("XDG_CONFIG_HOME"), *home = variable("HOME");
    if (config == NULL && home == NULL)
        return NULL;
    CHECK(buf_printf(&b, "%s%s/cardea/config.yaml", config != NULL ? config : home,
                     config != NULL ? "" : "/.config"));
    return buf_text(&b);
}

static void fill(struct connect_settings *s, enum connect_setting which, const char *value)
{
    if (s->value[which] == NULL)
        s->value[which] = value;
}

int connect_settings_complete(struct connect_settings *s, struct buf *errors)
{
    for (int i = 0; i < SETTINGS; i++)
        fill(s, (enum connect_setting)i, variable(variables[i]));
    s->path = file_path();
    if (s->path == NULL || access(s->path, F_OK) != 0)
        return 0;
    s->file = client_config_load(s->path, errors);
    if (s->file == NULL)
        return -1;
    fill(s, SETTING_DOOR, s->file->door.text.text);
    fill(s, SETTING_CERT, s->file->cert.text);
    fill(s, SETTING_KEY, s->file->key.text);
    fill(s, SETTING_CA, s->file->ca.text);
    fill(s, SETTING_NAME, s->file->name.text);
    return 0;
}

int connect_settings_check(const char *verb, const struct connect_settings *s)
{
    if (s->value[SETTING_DOOR] == NULL)
        return cmd_misused(verb,
                           "which door? Give --door HOST:PORT, set CARDEA_DOOR, or write 'door: HOST:PORT' "
                           "into %s",
                           s->path != NULL ? s->path : "~/.config/cardea/config.yaml");
    if ((s->value[SETTING_CERT] == NULL) != (s->value[SETTING_KEY] == NULL))
        return cmd_misused(verb, "a certificate and its key go together: %s is missing",
                           s->value[SETTING_KEY] == NULL ? "--key (CARDEA_KEY)" : "--cert (CARDEA_CERT)");
    return -1;
}

void connect_settings_free(struct connect_settings *s)
{
    client_config_free(s->file);
    free(s->path);
}
