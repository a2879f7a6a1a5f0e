/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/login_password.h"

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

void password_wipe(struct password *p)
{
    opaque_wipe(p, sizeof(*p));
}

/* Up to a line end, a byte at a time, so that no copy of it stays in a buffer of stdio. -1 with `err`. */
static int read_line(struct password *p, int fd, const char *name, struct err *err)
{
    p->len = 0;
    for (;;) {
        char c;
        ssize_t n = read(fd, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "cannot read the password from %s", name);
        if (n == 0 || c == '\n')
            break;
        if (p->len == OPAQUE_PASSWORD_MAX)
            return err_set(err, "the password from %s is longer than %d bytes", name, OPAQUE_PASSWORD_MAX);
        p->text[p->len++] = c;
    }
    if (p->len > 0 && p->text[p->len - 1] == '\r')
        p->len--;
    p->text[p->len] = '\0';
    return p->len > 0 ? 0 : err_set(err, "no password in %s", name);
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

static int ask_hidden(struct password *p, int tty, const char *what, const sigset_t *held, struct err *err)
{
    struct termios before, quiet;
    if (tcgetattr(tty, &before) != 0)
        return err_errno(err, errno, "the terminal cannot be kept from showing the password");
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    /* TCSAFLUSH: what was typed ahead was seen, and is no password. */
    tcsetattr(tty, TCSAFLUSH, &quiet);
    dprintf(tty, "%s: ", what);
    int status = wait_for_line(tty, held) ? read_line(p, tty, "the terminal", err)
                                          : err_set(err, "the password was not given");
    tcsetattr(tty, TCSAFLUSH, &before);
    dprintf(tty, "\n");
    return status;
}

int password_ask(struct password *p, const char *what, struct err *err)
{
    sigset_t held, before;
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0)
        return err_set(err, "there is no terminal to ask the password at; --password-file names a file");
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGQUIT);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGHUP);
    sigprocmask(SIG_BLOCK, &held, &before);
    int status = ask_hidden(p, tty, what, &held, err);
    sigprocmask(SIG_SETMASK, &before, NULL); /* one that came is delivered here */
    close(tty);
    return status;
}

int password_read(struct password *p, const char *path, struct err *err)
{
    struct stat st;
    if (strcmp(path, "-") == 0)
        return read_line(p, STDIN_FILENO, "standard input", err);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    int status = -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && !pem_key_is_kept(st.st_mode))
        err_set(err, "%s holds a password, and others may read it (mode %04o): make it 0600", path,
                (unsigned)st.st_mode & 07777);
    else
        status = read_line(p, fd, path, err);
    close(fd);
    return status;
}
