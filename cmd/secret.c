/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/check.h"
#include "cert/pem.h"

void secret_wipe(struct secret *s)
{
    explicit_bzero(s, sizeof(*s));
}

struct str secret_text(const struct secret *s)
{
    return (struct str){s->text, s->len};
}

/* Up to a line end, a byte at a time, so that no copy of it stays in a buffer of stdio. -1 with `err`. */
static int read_line(struct secret *s, const struct secret_kind *kind, int fd, const char *name,
                     struct err *err)
{
    s->len = 0;
    for (;;) {
        char c;
        ssize_t n = read(fd, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "cannot read the %s from %s", kind->noun, name);
        if (n == 0 || c == '\n')
            break;
        if (c == '\0' || s->len == SECRET_MAX)
            return err_set(err, "%s: expected a %s in the first line, of at most %d bytes and without NUL",
                           name, kind->noun, SECRET_MAX);
        s->text[s->len++] = c;
    }
    if (s->len > 0 && s->text[s->len - 1] == '\r')
        s->len--;
    s->text[s->len] = '\0';
    return s->len > 0 ? 0 : err_set(err, "no %s came from %s", kind->noun, name);
}

/* A line is there to be read, or a signal has come (false): as long as it is asked, those wait that would end
 * us and leave a terminal that shows nothing. */
static bool wait_for_line(int tty, const sigset_t *held)
{
    struct pollfd on[] = {{.fd = tty, .events = POLLIN},
                          {.fd = signalfd(-1, held, SFD_CLOEXEC), .events = POLLIN}};
    int ready;
    do
        ready = poll(on, ARRAY_LEN(on), -1);
    while (ready < 0 && errno == EINTR);
    if (on[1].fd >= 0)
        close(on[1].fd);
    return ready > 0 && on[1].revents == 0;
}

static int ask_hidden(struct secret *s, const struct secret_kind *kind, int tty, const char *prompt,
                      const sigset_t *held, struct err *err)
{
    struct termios before, quiet;
    if (tcgetattr(tty, &before) != 0)
        return err_errno(err, errno, "the terminal cannot be kept from showing the %s; %s", kind->noun,
                         kind->otherwise);
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    /* TCSAFLUSH: what was typed ahead was seen, and is no secret. */
    tcsetattr(tty, TCSAFLUSH, &quiet);
    dprintf(tty, "%s: ", prompt);
    int status = wait_for_line(tty, held) ? read_line(s, kind, tty, "the terminal", err)
                                          : err_set(err, "the %s was not given", kind->noun);
    tcsetattr(tty, TCSAFLUSH, &before);
    dprintf(tty, "\n");
    return status;
}

int secret_ask(struct secret *s, const struct secret_kind *kind, const char *prompt, struct err *err)
{
    sigset_t held, before;
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0)
        return err_set(err, "there is no terminal to ask the %s at; %s", kind->noun, kind->otherwise);
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGQUIT);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGHUP);
    sigprocmask(SIG_BLOCK, &held, &before);
    int status = ask_hidden(s, kind, tty, prompt, &held, err);
    sigprocmask(SIG_SETMASK, &before, NULL); /* one that came is delivered here */
    close(tty);
    return status;
}

int secret_ask_new(struct secret *s, const struct secret_kind *kind, const char *prompt, struct err *err)
{
    struct secret again = {.len = 0};
    if (secret_ask(s, kind, prompt, err) < 0)
        return -1;
    int status = secret_ask(&again, kind, "The same again", err);
    if (status == 0 && (again.len != s->len || memcmp(again.text, s->text, s->len) != 0))
        status = err_set(err, "the %ss differ: nothing has been set, try again", kind->noun);
    secret_wipe(&again);
    return status;
}

int secret_read(struct secret *s, const struct secret_kind *kind, const char *path, struct err *err)
{
    struct stat st;
    if (strcmp(path, "-") == 0)
        return read_line(s, kind, STDIN_FILENO, "standard input", err);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    int status = -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && !pem_key_is_kept(st.st_mode))
        err_set(err, "%s: other users may read this %s (mode %04o); do: chmod 600 %s", path, kind->noun,
                (unsigned)st.st_mode & 07777, path);
    else
        status = read_line(s, kind, fd, path, err);
    close(fd);
    return status;
}
