#include "CLinuxSocket.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// Fills an address; the length of it, or 0 and errno. A path keeps its final NUL, an abstract name
// has none.
static socklen_t fill(struct sockaddr_un *address, const char *name, size_t length) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (length == 0 || length >= sizeof address->sun_path) {
        errno = length == 0 ? EINVAL : ENAMETOOLONG;
        return 0;
    }
    memcpy(address->sun_path, name, length);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
}

static int32_t option(int32_t fd, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

int32_t cl_unix_socket(int32_t nonblocking) {
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);
}

int32_t cl_unix_bind(int32_t fd, const char *name, size_t length) {
    struct sockaddr_un address;
    socklen_t size = fill(&address, name, length);
    return size == 0 ? -1 : bind(fd, (struct sockaddr *)&address, size);
}

int32_t cl_unix_connect(int32_t fd, const char *name, size_t length) {
    struct sockaddr_un address;
    socklen_t size = fill(&address, name, length);
    return size == 0 ? -1 : connect(fd, (struct sockaddr *)&address, size);
}

int32_t cl_accept(int32_t listener) {
    return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int32_t cl_is_unix_listener(int32_t fd) {
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) && option(fd, SO_DOMAIN) == AF_UNIX &&
           option(fd, SO_TYPE) == SOCK_STREAM && option(fd, SO_ACCEPTCONN) == 1;
}

int32_t cl_peer(int32_t fd, int32_t *pid, uint32_t *uid, uint32_t *gid) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return -1;
    *pid = peer.pid;
    *uid = peer.uid;
    *gid = peer.gid;
    return 0;
}

// How many bytes to receive at once: those that are there, or, where a descriptor comes along, those
// before the whitespace at the end. The kernel gives a descriptor's bytes together with all before
// them. No more than was seen: what comes after the look may bring a descriptor. 0 at the end of the
// stream, negative where nothing is there.
static ssize_t piece(int fd, char *buffer, size_t capacity) {
    struct iovec part = {.iov_base = buffer, .iov_len = capacity};
    // No room for descriptors: that there are some shows in the flags, and none is opened.
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t seen = recvmsg(fd, &message, MSG_DONTWAIT | MSG_PEEK);
    if (seen <= 0 || !(message.msg_flags & MSG_CTRUNC)) return seen;
    ssize_t count = seen;
    while (count > 0 && strchr(" \t\r\n", buffer[count - 1]) && buffer[count - 1]) count--;
    return count > 0 ? count : seen;
}

int64_t cl_receive(int32_t fd, void *buffer, size_t capacity, int32_t *passed, int32_t most) {
    if (most == 0) return recv(fd, buffer, capacity, MSG_DONTWAIT);
    ssize_t count = piece(fd, buffer, capacity);
    if (count <= 0) return count;
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } control;
    struct iovec part = {.iov_base = buffer, .iov_len = (size_t)count};
    // CMSG_LEN, not CMSG_SPACE: the padding would be room for a second one.
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = CMSG_LEN(sizeof(int))};
    ssize_t received = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (received < 0) return received;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int))) {
        int first;
        memcpy(&first, CMSG_DATA(header), sizeof first);
        *passed = first;
    }
    return received;
}

int32_t cl_hang_ups(void) { return epoll_create1(EPOLL_CLOEXEC); }

int32_t cl_hang_ups_add(int32_t watch, int32_t fd, uint64_t name) {
    // EPOLLHUP is told without being asked for; and but once.
    struct epoll_event event = {.events = EPOLLONESHOT, .data.u64 = name};
    return epoll_ctl(watch, EPOLL_CTL_ADD, fd, &event);
}

int32_t cl_hang_ups_drop(int32_t watch, int32_t fd) {
    return epoll_ctl(watch, EPOLL_CTL_DEL, fd, NULL);
}

int32_t cl_hang_ups_next(int32_t watch, uint64_t *name) {
    struct epoll_event event;
    int count = epoll_wait(watch, &event, 1, 0);
    if (count == 1) *name = event.data.u64;
    return count;
}

int64_t cl_send(int32_t fd, const void *bytes, size_t length) {
    return send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int32_t cl_send_datagram(
    const char *name, size_t name_length, const void *bytes, size_t length) {
    struct sockaddr_un address;
    socklen_t size = fill(&address, name, name_length);
    if (size == 0) return -1;
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
        size -= 1;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    ssize_t sent = sendto(fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT,
                          (struct sockaddr *)&address, size);
    int saved = errno;
    close(fd);
    errno = saved;
    return sent == (ssize_t)length ? 0 : -1;
}
