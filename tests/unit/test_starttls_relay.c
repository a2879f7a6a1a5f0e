/* SPDX-License-Identifier: Apache-2.0 */
/* starttls/relay.h: what is looked at between a client and its server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "starttls/relay.h"

#define B(text) text, sizeof(text) - 1
#define NEAR(text)          \
    {                       \
        RELAY_NEAR, B(text) \
    }
#define FAR(text)          \
    {                      \
        RELAY_FAR, B(text) \
    }
#define STEPS_MAX 20

#define SALT "\1\0\0\0abcdefgh\0"
#define MYSQL_GREETING(low, high) \
    "\x27\0\0\0\x0a"              \
    "8.0.36\0" SALT low high "\x2d\2\0\xff\xc7\x15\0\0\0\0\0\0\0\0\0\0"
#define ZEROS "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define CAPS(high) "\x85" high "\x0f\0\0\0\0\1\x2d" ZEROS
#define SSL_REQUEST "\x20\0\0\1" CAPS("\xaa")
#define ANSWER(seq, high) "\x25\0\0" seq CAPS(high) "door\0"

struct part {
    enum relay_side side;
    const char *text;
    size_t len;
};

struct row {
    const char *protocol;
    enum starttls_section section;
    struct part said[STEPS_MAX];
    struct part heard[2]; /* by the client, by the server */
    enum starttls_status status;
    enum starttls_failure failure;
    const char *text; /* in the error's */
};

static const struct row rows[] = {
    /* MySQL: the greeting with the bit, numbers that differ by one, OK ends it */
    {"mysql",
     STARTTLS_RELAY_SERVER,
     {FAR(MYSQL_GREETING("\xff", "\xf7")), NEAR(SSL_REQUEST ANSWER("\2", "\xaa")), FAR("\1\0\0\2\xfe"),
      NEAR("\0\0\0\4"), FAR("\2\0\0\4\1\4"), NEAR("\1\0\0\6x"),
      FAR("\1\0\0\6\0"
          "\1\0\0\0z"),
      NEAR("\1\0\0\0\3")},
     {NEAR(MYSQL_GREETING("\xff", "\xff") "\1\0\0\3\xfe"
                                          "\2\0\0\5\1\4"
                                          "\1\0\0\7\0"
                                          "\1\0\0\0z"),
      FAR(ANSWER("\1", "\xa2") "\0\0\0\3"
                               "\1\0\0\5x"
                               "\1\0\0\0\3")},
     STARTTLS_DONE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"mysql",
     STARTTLS_RELAY_SERVER,
     {FAR(MYSQL_GREETING("\xff", "\xf7")), NEAR(SSL_REQUEST ANSWER("\2", "\xaa")), FAR("\3\0\0\2\xff\1\2"),
      FAR("z")},
     {NEAR(MYSQL_GREETING("\xff", "\xff") "\3\0\0\3\xff\1\2"
                                          "z"),
      FAR(ANSWER("\1", "\xa2"))},
     STARTTLS_DONE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"mysql",
     STARTTLS_RELAY_SERVER,
     {FAR("\3\0\0\0\xff\x10\4")},
     {NEAR("\3\0\0\0\xff\x10\4"), FAR("")},
     STARTTLS_BYE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"mysql",
     STARTTLS_RELAY_SERVER,
     {FAR(MYSQL_GREETING("\xff", "\xf7")), NEAR(ANSWER("\1", "\xa2"))},
     {NEAR(MYSQL_GREETING("\xff", "\xff") "\x2c\0\0\2\xff\x57\x0c#08004TLS is required: connect with --ssl"),
      FAR("")},
     STARTTLS_BYE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"mysql",
     STARTTLS_RELAY_SERVER,
     {NEAR(ANSWER("\1", "\xa2"))},
     {NEAR(""), FAR("")},
     STARTTLS_FAILED,
     STARTTLS_WRONG,
     "the client speaks before the server"},
    {"mysql",
     STARTTLS_RELAY_CLIENT,
     {FAR(MYSQL_GREETING("\xff", "\xff")), NEAR(ANSWER("\1", "\xa2")), FAR("\1\0\0\3\xfe"), NEAR("\1\0\0\3x"),
      FAR("\1\0\0\5\0"), NEAR("\1\0\0\0\3"), FAR("\1\0\0\1z")},
     {NEAR(MYSQL_GREETING("\xff", "\xf7") "\1\0\0\2\xfe"
                                          "\1\0\0\4\0"
                                          "\1\0\0\1z"),
      FAR(SSL_REQUEST ANSWER("\2", "\xaa") "\1\0\0\4x"
                                           "\1\0\0\0\3")},
     STARTTLS_DONE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"mysql",
     STARTTLS_RELAY_CLIENT,
     {FAR(MYSQL_GREETING("\xff", "\xf7"))},
     {NEAR(""), FAR("")},
     STARTTLS_FAILED,
     STARTTLS_MISSING,
     "taken out on the way"},
    {"mysql",
     STARTTLS_RELAY_CLIENT,
     {FAR("HTTP/1.0 400\r\n\r\n")},
     {NEAR(""), FAR("")},
     STARTTLS_FAILED,
     STARTTLS_TOO_MUCH,
     NULL},
    {"mysql",
     STARTTLS_RELAY_CLIENT,
     {FAR(MYSQL_GREETING("\xff", "\xff")), NEAR("\5\0\0\1\0\0\0\0\0")},
     {NEAR(MYSQL_GREETING("\xff", "\xf7")), FAR("")},
     STARTTLS_FAILED,
     STARTTLS_WRONG,
     "of protocol 4.1"},
    {"mysql",
     STARTTLS_RELAY_CLIENT,
     {FAR(MYSQL_GREETING("\xff", "\xff") "\1\0\0\1x")},
     {NEAR(MYSQL_GREETING("\xff", "\xf7")), FAR("")},
     STARTTLS_FAILED,
     STARTTLS_WRONG,
     "the server speaks"},
    /* lines that offer what is there already; the last one, too */
    {"smtp",
     STARTTLS_RELAY_SERVER,
     {NEAR("EHLO a\r\n"), FAR("250-b\r\n250-STARTTLS\r\n250-SIZE\r\n250 HELP\r\n")},
     {NEAR("250-b\r\n250-SIZE\r\n250 HELP\r\n"), FAR("EHLO a\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"smtp",
     STARTTLS_RELAY_SERVER,
     {NEAR("EHLO a\r\n"), FAR("250-b\r\n250-SIZE\r\n250 STARTTLS\r\n"), NEAR("NOOP\r\n"), FAR("250 ok\r\n")},
     {NEAR("250-b\r\n250 SIZE\r\n250 ok\r\n"), FAR("EHLO a\r\nNOOP\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"smtp",
     STARTTLS_RELAY_SERVER,
     {NEAR("EHLO a\r\n"), FAR("250-b\r\n250 STARTTLS\r\n"), NEAR("STARTTLS\r\nMAIL FROM:<a@b>\r\nx"),
      FAR("250-STARTTLS\r\n")},
     {NEAR("250 b\r\n503 5.5.1 TLS has begun already\r\n250-STARTTLS\r\n"),
      FAR("EHLO a\r\nMAIL FROM:<a@b>\r\nx")},
     STARTTLS_DONE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"lmtp",
     STARTTLS_RELAY_SERVER,
     {NEAR("LHLO a\r\n"), FAR("250-b\r\n250-STARTTLS\r\n250 SIZE\r\n")},
     {NEAR("250-b\r\n250 SIZE\r\n"), FAR("LHLO a\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"imap",
     STARTTLS_RELAY_SERVER,
     {NEAR("a CAPABILITY\r\n"),
      FAR("* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN LOGINDISABLED\r\na OK STARTTLS\r\n"),
      NEAR("b STARTTLS\r\nc LOGIN x y\r\n"), FAR("c OK [CAPABILITY STARTTLS] in\r\n")},
     {NEAR("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\na OK STARTTLS\r\nb BAD TLS has begun already\r\n"
           "c OK [CAPABILITY STARTTLS] in\r\n"),
      FAR("a CAPABILITY\r\nc LOGIN x y\r\n")},
     STARTTLS_DONE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"pop3",
     STARTTLS_RELAY_SERVER,
     {NEAR("CAPA\r\n"), FAR("+OK\r\nUSER\r\nSTLS\r\n.\r\n"), NEAR("USER a\r\n"), FAR("STLS\r\n")},
     {NEAR("+OK\r\nUSER\r\n.\r\nSTLS\r\n"), FAR("CAPA\r\nUSER a\r\n")},
     STARTTLS_DONE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"nntp",
     STARTTLS_RELAY_SERVER,
     {NEAR("CAPABILITIES\r\n"), FAR("101 l\r\nVERSION 2\r\nSTARTTLS\r\n.\r\n")},
     {NEAR("101 l\r\nVERSION 2\r\n.\r\n"), FAR("CAPABILITIES\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"managesieve",
     STARTTLS_RELAY_SERVER,
     {FAR("\"SIEVE\" \"x\"\r\n\"STARTTLS\"\r\nOK\r\n"), NEAR("LOGOUT\r\n")},
     {NEAR("\"SIEVE\" \"x\"\r\nOK\r\n"), FAR("LOGOUT\r\n")},
     STARTTLS_DONE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"ftp",
     STARTTLS_RELAY_SERVER,
     {NEAR("FEAT\r\n"), FAR("211-l\r\n AUTH TLS\r\n PBSZ\r\n MDTM\r\n211 End\r\n"),
      NEAR("PBSZ 0\r\nPROT P\r\nPROT C\r\nAUTH TLS\r\nNLST\r\n"), FAR("150 on\n226 done\r\n")},
     {NEAR("211-l\r\n MDTM\r\n211 End\r\n200 PBSZ=0\r\n536 Data connections are in the clear here: PROT C\r\n"
           "200 Data connections are in the clear\r\n503 TLS has begun already\r\n150 on\n226 done\r\n"),
      FAR("FEAT\r\nNLST\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"ftp",
     STARTTLS_RELAY_CLIENT,
     {NEAR("AUTH TLS\r\nFEAT\r\n"), FAR("211-l\r\n AUTH TLS\r\n UTF8\r\n211 End\r\n")},
     {NEAR("502 TLS is begun in the client's stead\r\n211-l\r\n UTF8\r\n211 End\r\n"), FAR("FEAT\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    /* SMTP to a server that takes XCLIENT: what is offered, one command at a time */
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("EHLO a\r\nMAIL FROM:<a>\r\n"),
      FAR("250-b\r\n250-XCLIENT NAME\r\n250-PIPELINING\r\n250-XFORWARD\r\n250-CHUNKING\r\n250 STARTTLS\r\n"),
      FAR("250 ok\r\n")},
     {NEAR("250-b\r\n250 PIPELINING\r\n250 ok\r\n"), FAR("EHLO a\r\nMAIL FROM:<a>\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("EHLO a\r\n"), FAR("250-b\r\n250-BINARYMIME\r\n250 DSN\r\n"), NEAR("EHLO\r\n"),
      FAR("501-x\r\n501 y\r\n"), NEAR("EHLO c\r\n"), FAR("250 c\r\n"), NEAR("HELO c\r\n"), FAR("250 c\r\n")},
     {NEAR("250-b\r\n250 DSN\r\n501-x\r\n501 y\r\n250 c\r\n250 c\r\n"),
      FAR("EHLO a\r\nEHLO\r\nEHLO c\r\nHELO c\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("XCLIENT LOGIN=root\r\nxforward a\n xclient b\r\nNOOP	x\r\nBDAT 5 "
           "LAST\r\nNOOPS\r\n\r\n.\r\nSTARTTLS\r\n")},
     {NEAR(
          "502 5.5.1 The command is not known here\r\n502 5.5.1 The command is not known here\r\n502 5.5.1 "
          "The command is not known here\r\n502 5.5.1 The command is not known here\r\n502 5.5.1 The command "
          "is not known here\r\n502 5.5.1 The command is not known here\r\n502 5.5.1 The command is not "
          "known here\r\n502 5.5.1 The command is not known here\r\n503 5.5.1 TLS has begun already\r\n"),
      FAR("")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("noop x\nXCLIENT a\r\nMAIL\r\n"), FAR("250 o\r\n"), FAR("250 k\r\n")},
     {NEAR("250 o\r\n502 5.5.1 The command is not known here\r\n250 k\r\n"), FAR("noop x\r\nMAIL\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    /* A mail: up to its end no command, behind it commands again; what it is to be is the server's word */
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("DATA\r\n"), FAR("354 go\r\n"), NEAR("XCLIENT a\r\n..\r\n.x\r\n\r\n.\r\nXCLIENT b\r\nDATA\r\n"),
      FAR("250 q\r\n"), FAR("354\r\n"), NEAR(".\r\nXCLIENT c\r\n"), FAR("250 r\r\n")},
     {NEAR("354 go\r\n250 q\r\n502 5.5.1 The command is not known here\r\n354\r\n250 r\r\n502 5.5.1 The "
           "command is not known here\r\n"),
      FAR("DATA\r\nXCLIENT a\r\n..\r\n.x\r\n\r\n.\r\nDATA\r\n.\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("DATA\r\nXCLIENT a\r\n.\r\n"), FAR("503-no\r\n"), FAR("503 no\r\n")},
     {NEAR("503-no\r\n503 no\r\n502 5.5.1 The command is not known here\r\n502 5.5.1 The command is not "
           "known here\r\n"),
      FAR("DATA\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("DATA\r\n"), FAR("354\r\n"), NEAR("a\n.\nXCLIENT a\r\n")},
     {NEAR("354\r\n"), FAR("DATA\r\na\n")},
     STARTTLS_FAILED,
     STARTTLS_WRONG,
     "a line of a dot in a mail"},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("DATA\r\n"), FAR("354\r\n"), NEAR("a\r\n.\nXCLIENT a\r\n")},
     {NEAR("354\r\n"), FAR("DATA\r\na\r\n")},
     STARTTLS_FAILED,
     STARTTLS_WRONG,
     "a line of a dot in a mail"},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("DATA\r\n"), FAR("354\r\n"), NEAR("a\n.\r\nXCLIENT a\r\n")},
     {NEAR("354\r\n"), FAR("DATA\r\na\n")},
     STARTTLS_FAILED,
     STARTTLS_WRONG,
     "a line of a dot in a mail"},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("DATA\r\n"), FAR("354\r\n"), NEAR("a\r.\rXCLIENT a\r\n")},
     {NEAR("354\r\n"), FAR("DATA\r\na\r")},
     STARTTLS_FAILED,
     STARTTLS_WRONG,
     "a line of a dot in a mail"},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("DATA\r\n"), FAR("354\r\n"), NEAR("\r\n.\r\r\nXCLIENT a\r\n")},
     {NEAR("354\r\n"), FAR("DATA\r\n\r\n")},
     STARTTLS_FAILED,
     STARTTLS_WRONG,
     "a line of a dot in a mail"},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("DATA\r\n"), FAR("354\r\n"), NEAR(".\nXCLIENT a\r\n")},
     {NEAR("354\r\n"), FAR("DATA\r\n")},
     STARTTLS_FAILED,
     STARTTLS_WRONG,
     "a line of a dot in a mail"},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("DATA\r\n"), FAR("354\r\n"), NEAR(".\r\r\nXCLIENT a\r\n")},
     {NEAR("354\r\n"), FAR("DATA\r\n")},
     STARTTLS_FAILED,
     STARTTLS_WRONG,
     "a line of a dot in a mail"},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("DATA\r\n"), FAR("354\r\n"), NEAR("\r\n.\rxXCLIENT a\r\n")},
     {NEAR("354\r\n"), FAR("DATA\r\n\r\n")},
     STARTTLS_FAILED,
     STARTTLS_WRONG,
     "a line of a dot in a mail"},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("DATA\r\n"), FAR("354\r\n"), NEAR("a\0.\r\nXCLIENT a\r\n")},
     {NEAR("354\r\n"), FAR("DATA\r\na\0")},
     STARTTLS_FAILED,
     STARTTLS_WRONG,
     "a line of a dot in a mail"},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("DATA\r\n"), FAR("354\r\n"), NEAR("a\n.b\n\r.c\r.	d.\r\n\r\n"), FAR("421 late\r\n")},
     {NEAR("354\r\n421 late\r\n"), FAR("DATA\r\na\n.b\n\r.c\r.	d.\r\n\r\n")},
     STARTTLS_BYE,
     STARTTLS_NO_FAILURE,
     NULL},
    /* AUTH: the line behind 334 is an answer, whatever it looks like, and no other is */
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("AUTH LOGIN\r\n"), FAR("334 x\r\n"), NEAR("XCLIENT a\nXCLIENT b\r\n"), FAR("334 y\r\n"),
      FAR("235 ok\r\n"), NEAR("XCLIENT c\r\n")},
     {NEAR("334 x\r\n334 y\r\n235 ok\r\n502 5.5.1 The command is not known here\r\n"),
      FAR("AUTH LOGIN\r\nXCLIENT a\r\nXCLIENT b\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("AUTH NONE\r\nXCLIENT a\r\n"), FAR("504 no\r\n")},
     {NEAR("504 no\r\n502 5.5.1 The command is not known here\r\n"), FAR("AUTH NONE\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    /* A server that says more than it was asked, or something else; a line that could be two */
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("NOOP\r\n"), FAR("250 a\r\n250 b\r\n"), NEAR("NOOP\r\n")},
     {NEAR("250 a\r\n250 b\r\n"), FAR("NOOP\r\n")},
     STARTTLS_BYE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("NOOP\r\n"), FAR("* OK\r\n")},
     {NEAR(""), FAR("NOOP\r\n")},
     STARTTLS_FAILED,
     STARTTLS_WRONG,
     "an answer of SMTP is expected"},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("NOOP \rXCLIENT a\r\n")},
     {NEAR(""), FAR("")},
     STARTTLS_FAILED,
     STARTTLS_WRONG,
     NULL},
    {"smtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("XC\0LIENT a\r\n")},
     {NEAR(""), FAR("")},
     STARTTLS_FAILED,
     STARTTLS_WRONG,
     NULL},
    /* LMTP: a mail has as many answers as recipients were taken, and the next command waits for all of them
     */
    {"lmtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("MAIL\r\n"), FAR("250 m\r\n"), NEAR("RCPT a\r\n"), FAR("250 a\r\n"), NEAR("RCPT b\r\n"),
      FAR("550 b\r\n"), NEAR("RCPT c\r\n"), FAR("250-c\r\n250 c\r\n"), NEAR("RCPT d\r\n"), FAR("250 d\r\n"),
      NEAR("DATA\r\n"), FAR("354\r\n"), NEAR("x\r\n.\r\nAUTH X\r\nXCLIENT a\r\n"), FAR("250 1\r\n"),
      FAR("450-2\r\n450 2\r\n"), FAR("250 3\r\n"), FAR("334 \r\n"), FAR("535 no\r\n")},
     {NEAR("250 m\r\n250 a\r\n550 b\r\n250-c\r\n250 c\r\n250 d\r\n354\r\n250 1\r\n450-2\r\n450 2\r\n250 "
           "3\r\n334 \r\n535 no\r\n"),
      FAR("MAIL\r\nRCPT a\r\nRCPT b\r\nRCPT c\r\nRCPT d\r\nDATA\r\nx\r\n.\r\nAUTH X\r\nXCLIENT a\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"lmtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("RCPT a\r\n"), FAR("250 a\r\n"), NEAR("RCPT b\r\n"), FAR("250 b\r\n"), NEAR("LHLO c\r\n"),
      FAR("250 l\r\n"), NEAR("RCPT d\r\n"), FAR("250 d\r\n"), NEAR("DATA\r\n"), FAR("354\r\n"),
      NEAR(".\r\nQUIT\r\n"), FAR("250 1\r\n"), FAR("221 bye\r\n")},
     {NEAR("250 a\r\n250 b\r\n250 l\r\n250 d\r\n354\r\n250 1\r\n221 bye\r\n"),
      FAR("RCPT a\r\nRCPT b\r\nLHLO c\r\nRCPT d\r\nDATA\r\n.\r\nQUIT\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"lmtp", /* Dovecot believes it of who may say XCLIENT, too */
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("LHLO c\r\n"), FAR("250-l\r\n250-XRCPTFORWARD\r\n250 DSN\r\n"),
      NEAR("RCPT TO:<a> NOTIFY=NEVER xrcptforward=YQ==\r\nrcpt to:<a>\tXRCPTFORWARD\r\nRCPT TO:<a> "
           "NOTIFY=NEVER\r\n"),
      FAR("250 a\r\n")},
     {NEAR("250-l\r\n250 DSN\r\n555 5.5.4 The parameter is not known here\r\n"
           "555 5.5.4 The parameter is not known here\r\n250 a\r\n"),
      FAR("LHLO c\r\nRCPT TO:<a> NOTIFY=NEVER\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"lmtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("MAIL\r\n"), FAR("250 m\r\n"), NEAR("RCPT a\r\n"), FAR("250 a\r\n"), NEAR("RCPT b\r\n"),
      FAR("550 b\r\n"), NEAR("RCPT c\r\n"), FAR("250-c\r\n250 c\r\n"), NEAR("RCPT d\r\n"), FAR("250 d\r\n"),
      NEAR("LHLO\r\n"), FAR("501 no\r\n"), NEAR("DATA\r\n"), FAR("354\r\n"), NEAR(".\r\nQUIT\r\n"),
      FAR("250 1\r\n"), FAR("250 2\r\n")},
     {NEAR("250 m\r\n250 a\r\n550 b\r\n250-c\r\n250 c\r\n250 d\r\n501 no\r\n354\r\n250 1\r\n250 2\r\n"),
      FAR("MAIL\r\nRCPT a\r\nRCPT b\r\nRCPT c\r\nRCPT d\r\nLHLO\r\nDATA\r\n.\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"lmtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("MAIL\r\n"), FAR("250 m\r\n"), NEAR("RCPT a\r\n"), FAR("250 a\r\n"), NEAR("RCPT b\r\n"),
      FAR("550 b\r\n"), NEAR("RCPT c\r\n"), FAR("250-c\r\n250 c\r\n"), NEAR("RCPT d\r\n"), FAR("250 d\r\n"),
      NEAR("RSET\r\n"), FAR("250 r\r\n"), NEAR("RCPT e\r\n"), FAR("250 e\r\n"), NEAR("DATA\r\n"),
      FAR("354\r\n"), NEAR(".\r\nQUIT\r\n"), FAR("250 1\r\n")},
     {NEAR("250 m\r\n250 a\r\n550 b\r\n250-c\r\n250 c\r\n250 d\r\n250 r\r\n250 e\r\n354\r\n250 1\r\n"),
      FAR("MAIL\r\nRCPT a\r\nRCPT b\r\nRCPT c\r\nRCPT d\r\nRSET\r\nRCPT e\r\nDATA\r\n.\r\nQUIT\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
    {"lmtp",
     STARTTLS_RELAY_IDENTIFY,
     {NEAR("MAIL\r\n"), FAR("250 m\r\n"), NEAR("RCPT a\r\n"), FAR("250 a\r\n"), NEAR("RCPT b\r\n"),
      FAR("550 b\r\n"), NEAR("RCPT c\r\n"), FAR("250-c\r\n250 c\r\n"), NEAR("RCPT d\r\n"), FAR("250 d\r\n"),
      NEAR("DATA\r\n"), FAR("451 no\r\n"), NEAR("MAIL\r\n"), FAR("250 m\r\n"), NEAR("DATA\r\n"),
      FAR("354\r\n"), NEAR(".\r\nLHLO c\r\n"), FAR("503 1\r\n"), FAR("250-l\r\n250-XCLIENT\r\n250 A\r\n")},
     {NEAR("250 m\r\n250 a\r\n550 b\r\n250-c\r\n250 c\r\n250 d\r\n451 no\r\n250 m\r\n354\r\n503 "
           "1\r\n250-l\r\n250 A\r\n"),
      FAR("MAIL\r\nRCPT a\r\nRCPT b\r\nRCPT c\r\nRCPT d\r\nDATA\r\nMAIL\r\nDATA\r\n.\r\nLHLO c\r\n")},
     STARTTLS_MORE,
     STARTTLS_NO_FAILURE,
     NULL},
};

/* A relay, what of each side is not consumed, what each has heard. */
struct talk {
    struct starttls_relay *relay;
    struct buf said[2];
    struct buf heard[2];
    enum starttls_status status;
};

static void step(struct talk *t, enum relay_side side)
{
    struct buf *said = &t->said[side];
    for (size_t used = 1; used > 0 && said->len > 0;) {
        if (t->status == STARTTLS_DONE) {
            assert_true(buf_append(&t->heard[!side], said->data, said->len));
            buf_free(said);
            return;
        }
        if (t->status != STARTTLS_MORE && t->status != STARTTLS_SWITCH)
            return;
        t->status = starttls_relay_step(t->relay, side, said->data, said->len, &used, &t->heard[side],
                                        &t->heard[!side]);
        assert_true(used <= said->len);
        buf_consume(said, used);
        used += t->status == STARTTLS_SWITCH;
    }
}

static void say(struct talk *t, const struct part *part, size_t chunk)
{
    for (size_t done = 0; done < part->len; done += chunk) {
        assert_true(buf_append(&t->said[part->side], part->text + done, MIN(chunk, part->len - done)));
        step(t, part->side);
    }
    if (part->side == RELAY_FAR) /* what the client has said may have waited for it */
        step(t, RELAY_NEAR);
}

static void check_row(const struct row *row, size_t chunk)
{
    const struct starttls *p = starttls_builtin(row->protocol);
    struct talk t = {.relay = starttls_relay_new(p, row->section)};
    struct starttls_run *run = starttls_relay_run(t.relay);
    assert_true(starttls_run_set(run, "required", (struct str){B("yes")}));
    for (size_t i = 0; i < STEPS_MAX && row->said[i].text != NULL; i++)
        say(&t, &row->said[i], chunk);
    for (int side = RELAY_NEAR; side <= RELAY_FAR; side++) {
        if (t.heard[side].len != row->heard[side].len ||
            (t.heard[side].len > 0 &&
             memcmp(t.heard[side].data, row->heard[side].text, t.heard[side].len) != 0))
            fail_msg("%s %s in pieces of %zu: side %d heard %zu bytes '%.*s'", row->protocol,
                     starttls_section_name(row->section), chunk, side, t.heard[side].len,
                     (int)t.heard[side].len, (const char *)t.heard[side].data);
        buf_free(&t.heard[side]);
        buf_free(&t.said[side]);
    }
    assert_int_equal(t.status == STARTTLS_SWITCH ? STARTTLS_MORE : t.status, row->status);
    assert_int_equal(starttls_run_failure(run), row->failure);
    if (row->text != NULL)
        assert_non_null(strstr(starttls_run_text(run), row->text));
    starttls_relay_free(t.relay);
}

static void dialogues_of_two(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t chunk = 1; chunk < 80; chunk++)
            check_row(&rows[i], chunk);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_row(&rows[i], 65536);
}

#define V3 "\0\3\0\0"
#define V3_2 "\0\3\0\2"
#define CANCEL "\x04\xd2\x16\x2e\0\0\0\1"
#define TWICE "08P01\0Mfound the user twice, expected it once"
#define NO_PAIRS \
    "08P01\0Mexpected pairs of a parameter and its value, the user among them, and nothing behind"
#define OTHER "0A000\0Mexpected protocol 3"
#define LONGEST "123456789012345678901234567890123456789012345678901234567890abc"
#define NOBODY "28000\0Mno client certificate tells who you are, in at most 63 bytes"

/* PostgreSQL's first message of a client, without its length, and what becomes of it: it is forwarded, or its
 * client hears an error with this code and text. */
static const struct startup {
    const char *user; /* who the client is */
    const char *said;
    size_t len;
    enum starttls_status status;
    const char *heard;
    size_t heard_len;
} startups[] = {
#define AS(said, heard)                           \
    {                                             \
        "alice", B(said), STARTTLS_DONE, B(heard) \
    }
#define NOT(said, why)                         \
    {                                          \
        "alice", B(said), STARTTLS_BYE, B(why) \
    }
    AS(V3 "user\0x\0\0", V3 "user\0alice\0\0"),
    AS(V3 "user\0\0database\0d\0\0", V3 "user\0alice\0database\0d\0\0"),
    AS(V3 "client_encoding\0UTF8\0user\0x\0options\0\0\0",
       V3 "client_encoding\0UTF8\0user\0alice\0options\0\0\0"),
    AS(V3 "database\0user\0user\0user\0username\0user\0\0",
       V3 "database\0user\0user\0alice\0username\0user\0\0"),
    AS(V3_2 "user\0x\0_pq_.some\0on\0replication\0database\0\0",
       V3_2 "user\0alice\0_pq_.some\0on\0replication\0database\0\0"),
    AS("\0\3\x27\x0fuser\0x\0\0", "\0\3\x27\x0fuser\0alice\0\0"),
    /* the first or the last may be the one that counts, and letters may be the same in either case */
    NOT(V3 "user\0alice\0user\0evil\0\0", TWICE),
    NOT(V3 "user\0evil\0database\0d\0USER\0alice\0\0", TWICE),
    /* behind the first empty name */
    NOT(V3 "user\0x\0\0database\0d\0user\0evil\0\0", NO_PAIRS),
    NOT(V3 "user\0x\0\0\0", NO_PAIRS),
    NOT(V3 "\0user\0evil\0\0", NO_PAIRS),
    /* a name without a value: names would be values from there on, and values names */
    NOT(V3 "user\0x\0database\0\0", NO_PAIRS),
    NOT(V3 "database\0user\0evil\0\0", NO_PAIRS),
    NOT(V3 "user\0x\0a\0user\0evil\0\0", NO_PAIRS),
    NOT(V3 "user\0x\0user\0evil\0a\0\0", TWICE),
    /* it ends too soon */
    NOT(V3 "user\0x\0", NO_PAIRS),
    NOT(V3 "user\0x", NO_PAIRS),
    NOT(V3 "user\0", NO_PAIRS),
    NOT(V3 "user", NO_PAIRS),
    NOT(V3 "database\0d\0\0", NO_PAIRS),
    NOT(V3 "\0", NO_PAIRS),
    NOT(V3, NO_PAIRS),
    /* protocol 2, where the user stands at a fixed place, one to come, and requests that nobody knows */
    NOT("\0\2\0\0shop\0\0\0\0evil\0\0\0\0", OTHER),
    NOT("\0\4\0\0user\0evil\0\0", OTHER),
    NOT("\x04\xd2\x16\x2f\0", OTHER),
    NOT("\x04\xd2\x16\x31", OTHER),
    NOT("\x04\xd2", OTHER),
    NOT("", OTHER),
    {NULL, B(V3 "user\0alice\0\0"), STARTTLS_BYE, B(NOBODY)},
    {NULL, B("\0\2\0\0alice\0"), STARTTLS_BYE, B(NOBODY)},
    {LONGEST, B(V3 "user\0x\0\0"), STARTTLS_DONE, B(V3 "user\0" LONGEST "\0\0")},
    {LONGEST "b", B(V3 "user\0x\0\0"), STARTTLS_BYE, B(NOBODY)}, /* would be LONGEST to the server */
    /* of protocol 3.0, and of 3.2 with a longer key */
    {NULL, B(CANCEL "key."), STARTTLS_FAILED, B(CANCEL "key.")},
    {"alice", B(CANCEL "a longer key"), STARTTLS_FAILED, B(CANCEL "a longer key")},
#undef AS
#undef NOT
};

static struct buf with_length(const char *kind, const struct buf *message)
{
    struct buf b = {0};
    assert_true(buf_printf(&b, "%s", kind) && buf_append(&b, (const char[3]){0}, 3));
    assert_true(buf_append(&b, &(const uint8_t){(uint8_t)(message->len + 4)}, 1) &&
                buf_append(&b, message->data, message->len));
    return b;
}

/* What follows a startup passes; what follows a CancelRequest or one that is refused does not. */
static void check_startup(const struct startup *row, size_t chunk)
{
    struct talk t = {.relay = starttls_relay_new(starttls_builtin("postgresql"), STARTTLS_RELAY_IDENTIFY)};
    struct buf said = {0}, heard = {0};
    bool refused = row->status == STARTTLS_BYE;
    if (row->user != NULL)
        assert_int_equal(
            starttls_run_set(starttls_relay_run(t.relay), "user", (struct str){row->user, strlen(row->user)}),
            strlen(row->user) <= 63);
    assert_true(buf_append(&said, row->said, row->len));
    assert_true(!refused || buf_append(&heard, B("SFATAL\0VFATAL\0C")));
    assert_true(buf_append(&heard, row->heard, row->heard_len));
    assert_true(!refused || buf_append(&heard, B("\0\0")));
    struct buf message = with_length("", &said), expected = with_length(refused ? "E" : "", &heard);
    assert_true(buf_append(&message, B("more")));
    assert_true(row->status != STARTTLS_DONE || buf_append(&expected, B("more")));
    say(&t, &(struct part){RELAY_NEAR, (const char *)message.data, message.len}, chunk);
    assert_int_equal(t.status, row->status);
    assert_int_equal(t.heard[refused ? RELAY_FAR : RELAY_NEAR].len, 0);
    assert_int_equal(t.heard[refused ? RELAY_NEAR : RELAY_FAR].len, expected.len);
    assert_memory_equal(t.heard[refused ? RELAY_NEAR : RELAY_FAR].data, expected.data, expected.len);
    struct buf *all[] = {&said, &heard, &message, &expected, t.heard, t.heard + 1, t.said, t.said + 1};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        buf_free(all[i]);
    starttls_relay_free(t.relay);
}

static void startups_of_postgresql(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(startups); i++)
        for (size_t chunk = 1; chunk < 160; chunk++)
            check_startup(&startups[i], chunk);
}

static void only_mysql_begins_before_tls(void **state)
{
    (void)state;
    for (const char *const *name = starttls_builtin_names(); *name != NULL; name++) {
        const struct starttls *p = starttls_builtin(*name);
        bool mysql = strcmp(*name, "mysql") == 0;
        assert_int_equal(starttls_relay_switches(p, STARTTLS_RELAY_CLIENT), mysql);
        assert_int_equal(starttls_relay_switches(p, STARTTLS_RELAY_SERVER), mysql);
    }
}

/* A unit that never ends, and answers that nobody takes: both are bounded. */
/* Nobody is told for ever that it is not so. */
static void refusals_have_a_bound(void **state)
{
    (void)state;
    struct starttls_relay *r = starttls_relay_new(starttls_builtin("smtp"), STARTTLS_RELAY_IDENTIFY);
    struct buf back = {0}, onward = {0};
    size_t used;
    starttls_run_go_within(starttls_relay_run(r));
    for (unsigned i = 0; i <= STARTTLS_REPLIES_MAX; i++) {
        assert_int_equal(starttls_relay_step(r, RELAY_NEAR, (const uint8_t *)B("\n"), &used, &back, &onward),
                         i < STARTTLS_REPLIES_MAX ? STARTTLS_MORE : STARTTLS_FAILED);
        buf_free(&back);
    }
    assert_int_equal(starttls_run_failure(starttls_relay_run(r)), STARTTLS_TOO_MUCH);
    assert_int_equal(onward.len, 0);
    starttls_relay_free(r);
}

static void bounds(void **state)
{
    (void)state;
    static uint8_t data[STARTTLS_UNIT_MAX + 1];
    const struct starttls *p = starttls_builtin("ftp");
    struct starttls_relay *r = starttls_relay_new(p, STARTTLS_RELAY_SERVER);
    struct buf back = {0}, onward = {0};
    size_t used;
    memset(data, 'x', sizeof(data));
    assert_int_equal(starttls_relay_step(r, RELAY_NEAR, data, sizeof(data), &used, &back, &onward),
                     STARTTLS_FAILED);
    assert_int_equal(starttls_run_failure(starttls_relay_run(r)), STARTTLS_TOO_MUCH);
    assert_int_equal(used, 0);
    starttls_relay_free(r);
    r = starttls_relay_new(p, STARTTLS_RELAY_SERVER);
    for (size_t i = 0; i + 8 <= sizeof(data); i += 8)
        memcpy(data + i, "PROT P\r\n", 8);
    assert_int_equal(starttls_relay_step(r, RELAY_NEAR, data, STARTTLS_UNIT_MAX, &used, &back, &onward),
                     STARTTLS_FAILED); /* so many before TLS */
    assert_int_equal(starttls_run_failure(starttls_relay_run(r)), STARTTLS_TOO_MUCH);
    buf_free(&back);
    starttls_relay_free(r);
    r = starttls_relay_new(p, STARTTLS_RELAY_SERVER);
    starttls_run_go_within(starttls_relay_run(r));
    assert_int_equal(starttls_relay_step(r, RELAY_NEAR, data, STARTTLS_UNIT_MAX, &used, &back, &onward),
                     STARTTLS_MORE);
    assert_true(used < STARTTLS_UNIT_MAX && back.len < STARTTLS_MEMORY_MAX + 256 && onward.len == 0);
    buf_free(&back);
    assert_int_equal(
        starttls_relay_step(r, RELAY_NEAR, data + used, STARTTLS_UNIT_MAX - used, &used, &back, &onward),
        STARTTLS_MORE);
    assert_true(used > 0);
    buf_free(&back);
    starttls_relay_free(r);
}

static const struct {
    const char *script;
    const char *error;
} broken[] = {
    {"section relay-server\nstate a\non \"x\": stay\n",
     "t:3:1: sections called relay-... have rules 'near' and 'far', all others 'on'"},
    {"section ask\nstate a\nnear \"x\": stay\n",
     "t:3:1: sections called relay-... have rules 'near' and 'far', all others 'on'"},
    {"section relay-server\nbegin send \"x\"\nstate a\n",
     "t:2:1: a relay has no 'begin': it speaks when somebody has spoken"},
    {"section relay-server\nstate a near waits\nnear \"x\": stay\n",
     "t:3:1: what the client says waits in this state: expected rules 'far' only"},
    {"section relay-server\nstate a unit line near\nfar \"x\": stay\n",
     "t:2:23: found the end of the line, expected 'waits'"},
    {"section relay-server\nstate a\nnear \"x\": go b\nstate b near waits\nfar \"x\": switch a\n",
     "t:4:7: found 'near waits' in a relay in which TLS begins, expected it in one within TLS only"},
    {"section ask\nstate a near waits\non \"x\": switch\n",
     "t:2:9: 'near waits' is for relays: a dialogue has one peer"},
    {"section ask\nstate a unit content\non \"x\": switch\n",
     "t:2:14: 'content' is a unit of relays: a mail is passed on, not answered"},
    {"section relay-server\nstate a\nnear \"x\": drop v; stay\n",
     "t:3:16: found 'v', which nothing in the script sets, adds to or takes from the peer, and which has no "
     "value "
     "by itself"},
    {"section relay-server\nstate a unit stream\nnear \"x\": stay\n",
     "t:3:1: a stream cannot be relayed: it is not cut into units"},
    {"section ask\nstate a\non \"x\": forward\n",
     "t:3:9: found 'forward', expected an action: send, set, add, go, stay, switch, "
     "done, plain, bye, missing, refused or wrong"},
    {"section relay-server\nstate a\nnear \"x\": jump\n",
     "t:3:11: found 'jump', expected an action: forward, reply, send, patch, strip, keep, set, add, "
     "drop, go, stay, switch, done, plain, "
     "bye, missing, refused or wrong"},
    {"section relay-server\nstate a\nnear any 1 {v}: patch v 0 left 1\n",
     "t:3:27: found 'left', expected what is done to the byte: up, down, set or clear"},
    {"section relay-server\nstate a\nnear any 1 {v}: patch v 0 up 256\n",
     "t:3:30: found '256', expected by how much, or the sum of the bits, from 0 to 255"},
    {"section relay-server\nstate a\nnear any 1 {v}: patch v 0 up\n",
     "t:3:29: found the end of the line, expected by how much, or the sum of the bits, from 0 to 255"},
    {"section relay-server\nstate a\nnear \"x\": switch b\n",
     "t:3:18: found 'b', expected a state of this section"},
    {"section ask\nstate a\non \"x\": plain relay-server\nsection relay-server\nstate a\nnear \"x\": stay\n",
     "t:3:15: found 'relay-server', expected a section that is a dialogue, not a relay"},
};

static void broken_scripts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        struct err err = {""};
        assert_null(starttls_parse("t", broken[i].script, strlen(broken[i].script), &err));
        assert_string_equal(err.text, broken[i].error);
    }
}

/* What patches and strips do beside what the protocols need of them. */
static void units_are_changed(void **state)
{
    (void)state;
    static const char script[] = "unit line\nsection relay-server\nstate a\n"
                                 "near \"p{v}\": patch v 0 up 1; patch v 9 set 255; reply \"{v}\"; forward\n"
                                 "near \"s{...}\": strip \"ab\"; forward\n";
    static const struct row changes[] = {
        {"",
         STARTTLS_RELAY_SERVER,
         {NEAR("pxy\r\n")},
         {NEAR("yy\r\n"), FAR("pyy\r\n")},
         STARTTLS_MORE,
         STARTTLS_NO_FAILURE,
         NULL},
        {"",
         STARTTLS_RELAY_SERVER,
         {NEAR("s ab abc AB\r\n")},
         {NEAR(""), FAR("s abc\r\n")},
         STARTTLS_MORE,
         STARTTLS_NO_FAILURE,
         NULL},
        {"",
         STARTTLS_RELAY_SERVER,
         {NEAR("s(ab)\n")},
         {NEAR(""), FAR("s()\n")},
         STARTTLS_MORE,
         STARTTLS_NO_FAILURE,
         NULL},
    };
    struct err err;
    struct starttls *p = starttls_parse("t", B(script), &err);
    assert_non_null(p);
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        struct talk t = {.relay = starttls_relay_new(p, STARTTLS_RELAY_SERVER)};
        say(&t, &changes[i].said[0], 65536);
        for (int side = RELAY_NEAR; side <= RELAY_FAR; side++) {
            assert_int_equal(t.heard[side].len, changes[i].heard[side].len);
            if (t.heard[side].len > 0)
                assert_memory_equal(t.heard[side].data, changes[i].heard[side].text, t.heard[side].len);
            buf_free(&t.heard[side]);
            buf_free(&t.said[side]);
        }
        starttls_relay_free(t.relay);
    }
    starttls_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialogues_of_two),
        cmocka_unit_test(startups_of_postgresql),
        cmocka_unit_test(only_mysql_begins_before_tls),
        cmocka_unit_test(bounds),
        cmocka_unit_test(refusals_have_a_bound),
        cmocka_unit_test(broken_scripts),
        cmocka_unit_test(units_are_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
