/* SPDX-License-Identifier: Apache-2.0 */
/* Passphrases: typed without echo, or out of a file; never on the command line, which others can read. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "cert/pem.h"
#include "cmd/ca.h"

static int take_file(const char *file, char ret[CA_PASSPHRASE_MAX], struct err *err)
{
    struct buf text = {0};
    mode_t mode;
    if (file_read(file, CA_PASSPHRASE_MAX, &text, &mode, err) < 0)
        return -1;
    size_t len = 0;
    while (len < text.len && text.data[len] != '\n' && text.data[len] != '\r')
        len++;
    int rc = 0;
    if (!pem_key_is_kept(mode))
        rc = err_set(err, "%s: other users may read this passphrase (mode %04o); do: chmod 600 %s", file,
                     (unsigned)mode, file);
    else if (len == 0 || memchr(text.data, '\0', len) != NULL ||
             !str_copy(ret, CA_PASSPHRASE_MAX, (char *)text.data, len))
        rc = err_set(err, "%s: expected a passphrase in its first line, of less than %d bytes", file,
                     CA_PASSPHRASE_MAX);
    explicit_bzero(text.data, text.cap);
    buf_free(&text);
    return rc;
}

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
    interrupted = signal;
}

/* A line, however long it takes; false at the end, or when interrupted. What does not fit is not taken for
 * all of it. */
static bool read_line(int tty, char ret[CA_PASSPHRASE_MAX])
{
    size_t len = 0;
    while (len < CA_PASSPHRASE_MAX - 1 && !interrupted) {
        ssize_t n = read(tty, ret + len, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        if (ret[len] == '\n') {
            ret[len] = '\0';
            return true;
        }
        len++;
    }
    return false;
}

/* The terminal gets its echo back before a signal that came in the meantime does what it does. */
static bool read_hidden(int tty, const char *prompt, char ret[CA_PASSPHRASE_MAX])
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction before[sizeof(signals) / sizeof(signals[0])], catch = {.sa_handler = interrupt};
    struct termios shown, hidden;
    if (tcgetattr(tty, &shown) < 0)
        return false;
    interrupted = 0;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &catch, &before[i]);
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK);
    hidden.c_lflag |= ECHONL;
    tcsetattr(tty, TCSAFLUSH, &hidden);
    dprintf(tty, "%s", prompt);
    bool ok = read_line(tty, ret);
    tcsetattr(tty, TCSAFLUSH, &shown);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &before[i], NULL);
    if (interrupted)
        raise(interrupted);
    return ok;
}

static int type_twice(int tty, const char *prompt, bool twice, char ret[CA_PASSPHRASE_MAX], struct err *err)
{
    char again[CA_PASSPHRASE_MAX] = "";
    int rc = 0;
    if (!read_hidden(tty, prompt, ret))
        rc = err_set(err, "no passphrase was typed");
    else if (twice && (!read_hidden(tty, "The same again: ", again) || strcmp(ret, again) != 0))
        rc = err_set(err, "the passphrases differ");
    ca_forget(again);
    return rc;
}

int ca_passphrase(const char *file, const char *prompt, bool twice, char ret[CA_PASSPHRASE_MAX],
                  struct err *err)
{
    if (file != NULL)
        return take_file(file, ret, err);
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (tty < 0)
        return err_set(err,
                       "a passphrase is needed, and there is no terminal to ask at: give it in a file, see "
                       "'cardea help ca'");
    int rc = type_twice(tty, prompt, twice, ret, err);
    close(tty);
    return rc;
}

void ca_forget(char passphrase[CA_PASSPHRASE_MAX])
{
    explicit_bzero(passphrase, CA_PASSPHRASE_MAX);
}
