/* The program of the demo's images: answers GET /hello with the machine it runs on, as JSON.
 * It serves one connection at a time and needs only libc, linked statically into an image FROM scratch.
 * Usage: `hello [PORT]`; the default port is 8080. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Without a handler, process 1 of a container ignores SIGTERM. */
static void stop(int signal_number) {
    (void)signal_number;
    _exit(0);
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int listen_on(unsigned short port) {
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (listener < 0)
        die("socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) < 0)
        die("bind");
    if (listen(listener, 16) < 0)
        die("listen");
    return listener;
}

/* Reads until the empty line that ends a request's head, or until the buffer is full. */
static void read_head(int client, char *head, size_t size) {
    size_t length = 0;
    ssize_t got;
    head[0] = '\0';
    while (length + 1 < size && !strstr(head, "\r\n\r\n") &&
           (got = read(client, head + length, size - length - 1)) > 0) {
        length += (size_t)got;
        head[length] = '\0';
    }
}

static void answer(int client, const char *head) {
    char body[256], message[512];
    struct utsname machine;
    const char *status = "404 Not Found";
    int length;
    snprintf(body, sizeof body, "{\"message\":\"Not here: GET /hello\"}\n");
    if (strncmp(head, "GET /hello ", strlen("GET /hello ")) == 0) {
        uname(&machine);
        status = "200 OK";
        snprintf(body, sizeof body, "{\"arch\":\"%s\",\"message\":\"Hello, there!\",\"os\":\"%s\"}\n",
                 machine.machine, machine.sysname);
    }
    length = snprintf(message, sizeof message,
                      "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                      "Connection: close\r\n\r\n%s",
                      status, strlen(body), body);
    if (write(client, message, (size_t)length) != length)
        perror("write");
}

int main(int argc, char **argv) {
    int listener, client;
    char head[4096];
    signal(SIGTERM, stop);
    signal(SIGPIPE, SIG_IGN);
    listener = listen_on((unsigned short)(argc > 1 ? atoi(argv[1]) : 8080));
    while ((client = accept(listener, NULL, NULL)) >= 0) {
        read_head(client, head, sizeof head);
        answer(client, head);
        close(client);
    }
    die("accept");
}
