/* SPDX-License-Identifier: Apache-2.0 */
/* The renewal is a process of its own, so that who carries bytes has neither an HTTP client nor its memory,
 * and one that hangs holds up nobody. All who use the login start one at about the same time; they wait for
 * each other at the lock of the file, and all but the first find that nothing is due any more. */
#include "cmd/login_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clean.h"
#include "base/clock.h"
#include "cert/pem.h"
#include "cmd/client_words.h"
#include "cmd/connect_settings.h"
#include "login/upkeep.h"
#include "loop/loop.h"
#include "tunnel/client.h"

#define LONGEST_NS (90 * NSEC_PER_SEC) /* of one renewal, with those that it waits for */
#define SAID_MAX 400

struct login_keeper {
    struct loop *loop;
    struct login_keeper_owner owner;
    char *path;
    char user[KEEP_TEXT_MAX];
    char *words[CLIENT_WORDS_MAX]; /* for the renewal: copies of what this process was told */
    size_t words_len;
    struct upkeep upkeep;
    struct watch clock; /* of the day's time, which goes on while the machine sleeps */
    struct watch child; /* its pidfd */
    struct timer patience;
    pid_t pid;          /* of the renewal under way; 0: none */
    int said;           /* what it says */
    char why[SAID_MAX]; /* the last one failed */
};

static void step(struct login_keeper *k);

static int64_t wall(void)
{
    return clock_wall() / NSEC_PER_SEC;
}

/* ---- telling ---- */

static void warn(const struct login_keeper *k)
{
    char until[PEM_TIME_MAX];
    fprintf(stderr,
            "cardea: warning: the login of %s ends at %s%s%s: run 'cardea login', and what stands goes on\n",
            k->user, pem_time_text(k->upkeep.until, until),
            k->why[0] != '\0'                ? ", and could not be renewed: "
            : upkeep_is_possible(&k->upkeep) ? ", and has not been renewed"
                                             : ", and cannot be renewed without a password",
            k->why);
}

static void tell_over(const struct login_keeper *k)
{
    char until[PEM_TIME_MAX];
    fprintf(stderr, "cardea: warning: the login of %s ended at %s: run 'cardea login'\n", k->user,
            pem_time_text(k->upkeep.until, until));
}

/* ---- the renewal ---- */

/* Its words without the name of the program. */
static void read_said(struct login_keeper *k)
{
    static const char name[] = "cardea: ";
    char text[SAID_MAX];
    ssize_t n = pread(k->said, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    const char *words = strncmp(text, name, strlen(name)) == 0 ? text + strlen(name) : text;
    str_clean(k->why, sizeof(k->why), words);
    if (k->why[0] == '\0')
        snprintf(k->why, sizeof(k->why), "it was ended");
}

/* Returns false while it runs. */
static bool reap(struct login_keeper *k, bool *ret_good)
{
    int status = 0;
    pid_t ended = waitpid(k->pid, &status, WNOHANG);
    if (ended == 0)
        return false;
    *ret_good = ended > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    k->pid = 0;
    wheel_cancel(&k->patience);
    loop_close(k->loop, &k->child);
    return true;
}

static void on_exit_seen(struct watch *w, uint32_t events)
{
    struct login_keeper *k = CONTAINER_OF(w, struct login_keeper, child);
    bool good;
    (void)events;
    if (!reap(k, &good))
        return;
    k->why[0] = '\0';
    if (!good)
        read_said(k);
    close(k->said);
    k->said = -1;
    /* Also of a good one: where it has brought nothing new, the next one waits as long. */
    upkeep_failed(&k->upkeep, wall());
    step(k);
}

static void on_late(struct timer *t)
{
    kill(CONTAINER_OF(t, struct login_keeper, patience)->pid, SIGKILL); /* its pidfd tells */
}

/* It has a session of its own: an interrupt at the terminal is not meant for it. */
static int prepare(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attr, int said)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int code = posix_spawnattr_setsigmask(attr, &none);
    code = code != 0 ? code : posix_spawnattr_setsigdefault(attr, &all);
    code = code != 0 ? code
                     : posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                          POSIX_SPAWN_SETSIGDEF);
    code = code != 0 ? code : posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
    code = code != 0 ? code : posix_spawn_file_actions_adddup2(actions, STDIN_FILENO, STDOUT_FILENO);
    code = code != 0 ? code : posix_spawn_file_actions_adddup2(actions, said, STDERR_FILENO);
    return code != 0 ? code : posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
}

static int spawn(struct login_keeper *k)
{
    char *argv[4 + CLIENT_WORDS_MAX + 1] = {(char[]){"cardea"}, (char[]){"login"}, (char[]){"--renew"},
                                            (char[]){"--if-due"}};
    memcpy(argv + 4, k->words, k->words_len * sizeof(k->words[0]));
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    int code = prepare(&actions, &attr, k->said);
    if (code == 0)
        code = posix_spawn(&k->pid, "/proc/self/exe", &actions, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    errno = code;
    return code == 0 ? 0 : -1;
}

/* Watch the one that was started, or end it. */
static int watch_child(struct login_keeper *k)
{
    int fd = (int)syscall(SYS_pidfd_open, k->pid, 0);
    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (fd >= 0 && loop_watch(k->loop, &k->child, fd, EPOLLIN | EPOLLET, on_exit_seen) == 0)
        return 0;
    int saved = errno;
    kill(k->pid, SIGKILL);
    waitpid(k->pid, NULL, 0);
    k->pid = 0;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return -1;
}

static void start(struct login_keeper *k)
{
    k->said = memfd_create("cardea-login", MFD_CLOEXEC);
    if (k->said >= 0 && spawn(k) == 0 && watch_child(k) == 0) {
        loop_set_timer(k->loop, &k->patience, loop_now(k->loop) + LONGEST_NS);
        return;
    }
    snprintf(k->why, sizeof(k->why), "no process could be started for it (%s)", strerror(errno));
    if (k->said >= 0)
        close(k->said);
    k->said = -1;
    upkeep_failed(&k->upkeep, wall());
}

/* ---- looking ---- */

/* Has the login been replaced by another, whoever did it? One that is not there is waited for. */
static void look(struct login_keeper *k)
{
    struct keep kept;
    struct err err;
    if (keep_read(k->path, &kept, &err) < 1 || upkeep_is_of(&k->upkeep, &kept))
        return;
    upkeep_begin(&k->upkeep, &kept);
    snprintf(k->user, sizeof(k->user), "%s", kept.user);
    k->why[0] = '\0';
    k->owner.renewed(k->owner.owner);
}

/* A clock that is set, or has gone on while the machine slept, is seen at once. */
static void wait_until(struct login_keeper *k, int64_t at)
{
    struct itimerspec when = {.it_value.tv_sec = at > 0 ? at : 1};
    timerfd_settime(k->clock.fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL);
}

static void step(struct login_keeper *k)
{
    int64_t at, now = wall();
    look(k);
    enum upkeep_step next = upkeep_next(&k->upkeep, now, &at);
    if (next == UPKEEP_RENEW && k->pid == 0)
        start(k);
    else if (next == UPKEEP_WARN)
        warn(k);
    else if (next == UPKEEP_OVER)
        tell_over(k);
    wait_until(k, next == UPKEEP_WAIT ? at : now + 1);
}

static void on_clock(struct watch *w, uint32_t events)
{
    struct login_keeper *k = CONTAINER_OF(w, struct login_keeper, clock);
    uint64_t times;
    (void)events;
    /* ECANCELED: the clock was set. */
    if (read(w->fd, &times, sizeof(times)) > 0 || errno == ECANCELED)
        step(k);
}

/* ---- beginning and end ---- */

static bool is_login(const struct client_settings *s, const char *path)
{
    return s->cert != NULL && s->key != NULL && strcmp(s->cert, path) == 0 && strcmp(s->key, path) == 0;
}

/* The door, its name and its CA are kept with the login. */
static void copy_words(struct login_keeper *k, const struct client_settings *settings)
{
    struct client_words w = {.n = 0};
    client_words_put_secrecy(&w, settings);
    for (; k->words_len < w.n; k->words_len++)
        k->words[k->words_len] = str_dup(w.v[k->words_len]);
}

static int begin(struct login_keeper *k, const struct keep *kept, struct err *err)
{
    upkeep_begin(&k->upkeep, kept);
    snprintf(k->user, sizeof(k->user), "%s", kept->user);
    int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0 || loop_watch(k->loop, &k->clock, fd, EPOLLIN | EPOLLET, on_clock) != 0) {
        int saved = errno;
        if (fd >= 0)
            close(fd);
        return err_errno(err, saved, "the login cannot be renewed: no timer");
    }
    step(k);
    return 0;
}

int login_keeper_new(struct login_keeper **ret, struct loop *loop, const struct client_settings *settings,
                     const struct login_keeper_owner *owner, struct err *err)
{
    char *path = connect_settings_path(CONNECT_LOGIN);
    struct keep kept;
    int found = path != NULL && is_login(settings, path) ? keep_read(path, &kept, err) : 0;
    *ret = NULL;
    if (found < 1) {
        free(path);
        return found;
    }
    struct login_keeper *k = calloc(1, sizeof(*k));
    CHECK(k != NULL);
    *k = (struct login_keeper){.loop = loop,
                               .owner = *owner,
                               .path = path,
                               .upkeep.by_another = owner->by_another,
                               .clock.fd = -1,
                               .child.fd = -1,
                               .said = -1};
    timer_init(&k->patience, on_late);
    copy_words(k, settings);
    if (begin(k, &kept, err) != 0) {
        login_keeper_free(k);
        return -1;
    }
    *ret = k;
    return 0;
}

void login_keeper_free(struct login_keeper *k)
{
    if (k == NULL)
        return;
    wheel_cancel(&k->patience);
    loop_close(k->loop, &k->child);
    loop_close(k->loop, &k->clock);
    if (k->said >= 0)
        close(k->said);
    for (size_t i = 0; i < k->words_len; i++)
        free(k->words[i]);
    free(k->path);
    free(k);
}
