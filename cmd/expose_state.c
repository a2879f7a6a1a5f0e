/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/expose_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/check.h"

#define NO_FOLDER                                                                                           \
    "there is no folder to keep certificates in: neither STATE_DIRECTORY, XDG_STATE_HOME nor HOME is set; " \
    "name one (--state)"

/* An absolute path, says the XDG Base Directory Specification; anything else is ignored. */
static const char *folder_in(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && *value == '/' && strchr(value, ':') == NULL ? value : NULL;
}

static int put_folder(struct buf *ret, const char *folder, struct err *err)
{
    const char *manager = folder_in("STATE_DIRECTORY"), *state = folder_in("XDG_STATE_HOME"),
               *home = folder_in("HOME");
    if (folder != NULL || manager != NULL)
        CHECK(buf_printf(ret, "%s", folder != NULL ? folder : manager));
    else if (state != NULL || home != NULL)
        CHECK(buf_printf(ret, "%s%s/cardea", state != NULL ? state : home,
                         state != NULL ? "" : "/.local/state"));
    else
        return err_set(err, NO_FOLDER);
    return 0;
}

static int make_folders(char *path, struct err *err)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int status = mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : err_errno(err, errno, "%s", path);
        *slash = '/';
        if (status != 0)
            return -1;
    }
    return 0;
}

char *expose_state_path(const char *folder, const char *door, const char *name, struct err *err)
{
    struct buf path = {0};
    if (put_folder(&path, folder, err) != 0) {
        buf_free(&path);
        return NULL;
    }
    CHECK(buf_printf(&path, "/%s/%s.pem", door, name) && buf_text(&path) != NULL);
    if (make_folders((char *)path.data, err) == 0)
        return (char *)path.data;
    buf_free(&path);
    return NULL;
}
