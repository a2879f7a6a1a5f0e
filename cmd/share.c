/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/share.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/ech_setting.h"
#include "base/file.h"
#include "base/str.h"
#include "base/unit.h"
#include "cert/pem.h"
#include "cert/pkcs11.h"
#include "cmd/client_words.h"
#include "cmd/connect_settings.h"
#include "net/socket.h"

#define LISTEN_FD 3 /* where a started process finds its socket */

bool share_is_wanted(int64_t *ret_idle)
{
    static const char *const off[] = {"0", "no", "off", "false"};
    const char *said = getenv("CARDEA_SHARE");
    *ret_idle = SHARE_IDLE_NS;
    if (said == NULL)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(off); i++)
        if (strcmp(said, off[i]) == 0)
            return false;
    if (!unit_parse(said, unit_durations, ret_idle) || *ret_idle <= 0)
        *ret_idle = SHARE_IDLE_NS;
    return true;
}

/* A copy of a path that holds wherever one is; NULL stays NULL. */
static char *absolute(const char *path)
{
    struct buf b = {0};
    if (path == NULL)
        return NULL;
    if (pkcs11_is_uri(path))
        return strdup(path);
    if (file_put_absolute(&b, path) != 0)
        CHECK(buf_printf(&b, "%s", path));
    return buf_text(&b);
}

/* The same of what is said of ECH. */
static char *absolute_ech(const char *text)
{
    struct buf b = {0};
    struct ech_setting setting;
    if (text == NULL)
        return NULL;
    if (!ech_setting_read(text, &setting) || ech_setting_put_absolute(&b, &setting) != 0)
        CHECK(buf_printf(&b, "%s", text)); /* it is refused later, with a text */
    return buf_text(&b);
}

int share_settings_make(struct share_settings *ret, const struct client_settings *client, int64_t idle,
                        struct err *err)
{
    bool system_ca = strcmp(client->ca, "system") == 0;
    *ret = (struct share_settings){.client = *client, .idle = idle};
    ret->client.cert = ret->cert = absolute(client->cert);
    ret->client.key = ret->key = absolute(client->key);
    ret->client.doh.ca = ret->doh_ca = absolute(client->doh.ca);
    ret->client.doh.configs = ret->doh_configs = absolute(client->doh.configs);
    ret->client.ech = ret->ech = absolute_ech(client->ech);
    ret->ca = system_ca ? NULL : absolute(client->ca);
    ret->client.ca = system_ca ? client->ca : ret->ca;
    return share_place(&ret->client, ret->path, err);
}

void share_settings_free(struct share_settings *s)
{
    free(s->cert);
    free(s->key);
    free(s->ca);
    free(s->ech);
    free(s->doh_ca);
    free(s->doh_configs);
}

/* The carrier has read the files some time ago; meanwhile they may have been opened to others,
 * or taken away. */
bool share_files_may_do(const struct share_settings *s)
{
    const char *const files[] = {s->cert, s->key, s->ca};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct stat st;
        if (files[i] == NULL)
            continue;
        if (stat(files[i], &st) != 0 || !S_ISREG(st.st_mode) || access(files[i], R_OK) != 0 ||
            (files[i] == s->key && !pem_key_is_kept(st.st_mode)))
            return false;
    }
    return true;
}

int share_find(const struct share_settings *s)
{
    return share_place_connect(s->path);
}

int share_listen(const struct share_settings *s, struct err *err)
{
    int lock = share_place_lock(s->path);
    if (lock < 0)
        return err_errno(err, errno, "%s.lock", s->path);
    int fd = socket_listen_unix(s->path, 0600, err);
    close(lock);
    return fd;
}

/* ---- starting ---- */

/* In the new process: of what we have it gets the socket and nothing else. */
_Noreturn static void become(const struct share_settings *s, int listener)
{
    char idle[32];
    char *argv[2 + CLIENT_WORDS_MAX + 1] = {(char *)(uintptr_t) "cardea", (char *)(uintptr_t) "carry"};
    struct client_words w = {.n = 0};
    sigset_t none;
    int null = open("/dev/null", O_RDWR);
    snprintf(idle, sizeof(idle), "%lldms", (long long)(s->idle / NSEC_PER_MSEC));
    client_words_put(&w, "--listen-fd", "3");
    client_words_put(&w, "--door", s->client.door);
    client_words_put(&w, "--name", s->client.name);
    client_words_put(&w, "--cert", s->client.cert);
    client_words_put(&w, "--key", s->client.key);
    client_words_put(&w, "--ca", s->client.ca);
    client_words_put(&w, "--transport", transport_word(s->client.transport));
    client_words_put_secrecy(&w, &s->client);
    client_words_put(&w, "--idle", idle);
    memcpy(argv + 2, w.v, w.n * sizeof(w.v[0]));
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGHUP, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    if (null >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1 && dup2(null, 2) == 2 &&
        dup2(listener, LISTEN_FD) == LISTEN_FD && close_range(LISTEN_FD + 1, ~0U, 0) == 0 && chdir("/") == 0)
        execv("/proc/self/exe", argv);
    _exit(127);
}

/* A process of a session of its own, and no child of ours. */
static void start(const struct share_settings *s, int listener)
{
    pid_t child = fork();
    if (child == 0) {
        setsid();
        if (fork() == 0)
            become(s, listener);
        _exit(0);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* The listening socket is made here, so that there is something to connect to at once; should the new process
 * fail, what waits there is closed and its owner goes alone. */
static int find_or_start_alone(const struct share_settings *s)
{
    int fd = share_find(s);
    if (fd >= 0 || (errno != ENOENT && errno != ECONNREFUSED))
        return fd;
    int listener = socket_listen_unix(s->path, 0600, NULL);
    if (listener < 0)
        return -1;
    int apart = listener == LISTEN_FD ? fcntl(listener, F_DUPFD_CLOEXEC, LISTEN_FD + 1) : listener;
    fd = share_find(s);
    if (fd >= 0 && apart >= 0)
        start(s, apart);
    close(listener);
    if (apart != listener && apart >= 0)
        close(apart);
    return fd;
}

int share_find_or_start(const struct share_settings *s)
{
    int lock = share_place_lock(s->path);
    if (lock < 0)
        return -1;
    int fd = find_or_start_alone(s);
    close(lock);
    return fd;
}
