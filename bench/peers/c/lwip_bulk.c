/* lwIP with itself: bulk data over one TCP connection between two interfaces of MTU 1500 that are joined in memory.
 *
 *   lwip_bulk SECONDS
 *
 * One thread does everything, as with NO_SYS: the distribution's library has an operating system layer, but its core may
 * be used directly by whoever holds its lock. An interface's output copies the packet, as a driver copies it out, and
 * queues it; the main loop hands it to IP input. There is no Ethernet: headers and ARP are saved. Buffers, window (64 KB)
 * and MSS (1460) are those the distribution built in. Prints octets received and CPU seconds.
 */
#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/sys.h>
#include <lwip/tcp.h>
#include <lwip/tcpip.h>
#include <lwip/timeouts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PLACES = 1024, PORT = 5001, CHUNK = 16384 };

static struct netif ends[2];
static struct { struct pbuf *packet; struct netif *to; } queue[PLACES];
static unsigned head, tail;
static unsigned long long received;
static char data[CHUNK];

static double cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void check(int good, const char *what) {
    if (good) return;
    fprintf(stderr, "lwip_bulk: %s\n", what);
    exit(1);
}

static err_t output(struct netif *netif, struct pbuf *p, const ip4_addr_t *to) {
    (void)to;
    if (tail - head == PLACES) return ERR_MEM;
    struct pbuf *copy = pbuf_alloc(PBUF_LINK, p->tot_len, PBUF_RAM);
    if (!copy) return ERR_MEM;
    pbuf_copy(copy, p);
    queue[tail % PLACES].packet = copy;
    queue[tail++ % PLACES].to = netif == &ends[0] ? &ends[1] : &ends[0];
    return ERR_OK;
}

static err_t set_up(struct netif *netif) {
    netif->name[0] = 'm', netif->name[1] = 'e';
    netif->mtu = 1500;
    netif->output = output;
    return ERR_OK;
}

static err_t on_receive(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err) {
    (void)arg, (void)err;
    check(p != NULL, "the connection was closed");
    received += p->tot_len;
    tcp_recved(pcb, p->tot_len);
    pbuf_free(p);
    return ERR_OK;
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err) {
    (void)arg, (void)err;
    tcp_recv(pcb, on_receive);
    return ERR_OK;
}

static void on_error(void *arg, err_t err) {
    (void)arg;
    fprintf(stderr, "lwip_bulk: error %d\n", err);
    exit(1);
}

static void fill(struct tcp_pcb *pcb) {
    for (;;) {
        u16_t room = tcp_sndbuf(pcb);
        if (room > CHUNK) room = CHUNK;
        if (room < 1460 || tcp_write(pcb, data, room, TCP_WRITE_FLAG_COPY) != ERR_OK) break;
    }
    tcp_output(pcb);
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t octets) {
    (void)arg, (void)octets;
    fill(pcb);
    return ERR_OK;
}

static err_t on_connect(void *arg, struct tcp_pcb *pcb, err_t err) {
    (void)arg;
    check(err == ERR_OK, "not connected");
    fill(pcb);
    return ERR_OK;
}

static void run(double span) {
    double until = cpu() + span;
    unsigned turns = 0;
    do {
        for (unsigned end = tail; head != end; head++)
            ip_input(queue[head % PLACES].packet, queue[head % PLACES].to);
        if ((turns++ & 63) == 0) sys_check_timeouts();
    } while ((turns & 63) || cpu() < until);
}

int main(int argc, char **argv) {
    ip4_addr_t address[2], mask, none;
    double span = argc > 1 ? atof(argv[1]) : 1;
    tcpip_init(NULL, NULL);
    LOCK_TCPIP_CORE();
    IP4_ADDR(&mask, 255, 255, 255, 0);
    ip4_addr_set_zero(&none);
    for (int i = 0; i < 2; i++) {
        IP4_ADDR(&address[i], 10, 0, i, 1);
        check(netif_add(&ends[i], &address[i], &mask, &none, NULL, set_up, ip_input) != NULL, "netif_add");
        netif_set_link_up(&ends[i]);
        netif_set_up(&ends[i]);
    }
    ip_addr_t from = IPADDR4_INIT(address[0].addr), to = IPADDR4_INIT(address[1].addr);
    struct tcp_pcb *listener = tcp_new_ip_type(IPADDR_TYPE_V4), *client = tcp_new_ip_type(IPADDR_TYPE_V4);
    check(tcp_bind(listener, &to, PORT) == ERR_OK, "tcp_bind");
    tcp_bind_netif(listener, &ends[1]);
    listener = tcp_listen(listener);
    tcp_bind_netif(client, &ends[0]); /* or packets between its own addresses would never leave it */
    tcp_accept(listener, on_accept);
    check(tcp_bind(client, &from, 0) == ERR_OK, "tcp_bind");
    tcp_err(client, on_error);
    tcp_sent(client, on_sent);
    check(tcp_connect(client, &to, PORT, on_connect) == ERR_OK, "tcp_connect");
    run(0.3);
    double begin = cpu();
    unsigned long long before = received;
    run(span);
    printf("%llu %.6f\n", received - before, cpu() - begin);
    UNLOCK_TCPIP_CORE();
    fflush(stdout);
    _Exit(0);
}
