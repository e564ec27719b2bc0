/* LD_PRELOAD: a bind() to every address becomes one to loopback. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

int bind(int fd, const struct sockaddr *address, socklen_t length) {
    int (*real)(int, const struct sockaddr *, socklen_t) =
        (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "bind");
    struct sockaddr_storage copy;
    memset(&copy, 0, sizeof copy);
    if (length > sizeof copy) return real(fd, address, length);
    memcpy(&copy, address, length);
    if (address->sa_family == AF_INET) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)&copy;
        if (v4->sin_addr.s_addr == htonl(INADDR_ANY)) v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&copy;
        if (IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr)) inet_pton(AF_INET6, "::ffff:127.0.0.1", &v6->sin6_addr);
    }
    return real(fd, (struct sockaddr *)&copy, length);
}
