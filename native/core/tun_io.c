// Packets from and to the TUN: one read() or writev() each, in batches.
#include <errno.h>
#include <unistd.h>

#include "lane.h"

// A super-packet behind its virtio header has at most 10 + 65,535 bytes; with the gap that aligns the inner packet
// that stays within TUN_ROOM.
enum { TUN_ROOM = 65568, TUN_PACKET_MAX = 65552 };

static uint32_t aligned_header(uint32_t offset) {
  return ((offset + VIRTIO_HEADER_LENGTH + 15) & ~15u) - VIRTIO_HEADER_LENGTH;
}

static ssize_t read_retrying(int fd, uint8_t *buffer, size_t length) {
  ssize_t n;
  do n = read(fd, buffer, length);
  while (n < 0 && errno == EINTR);
  return n;
}

// EAGAIN: empty. EIO: the interface is down, which is as good as empty until it is up again.
static bool nothing_to_read(int number) { return number == EAGAIN || number == EIO; }

// EBADFD: the interface was deleted. Any other error is about one packet: the kernel drops one that no virtio header can
// describe, and the next read brings the next.
static bool device_is_gone(int number) { return number == EBADFD || number == EBADF; }

// Length of the packet, 0 for one that the kernel dropped, or -1 with errno: nothing, or gone.
static ssize_t read_packet(int fd, uint8_t *buffer) {
  ssize_t n = read_retrying(fd, buffer, TUN_PACKET_MAX);
  if (n > 0) return n;
  if (n == 0) errno = EAGAIN;
  return nothing_to_read(errno) || device_is_gone(errno) ? -1 : 0;
}

// descriptors, packetsMax, bufferOffset, bufferLength, bytesMax
int lane_read_tun(struct lane *lane, const uint32_t *arguments, struct fault *fault) {
  const struct arena *arena = &lane->arena;
  uint32_t out = arguments[0], packets_max = arguments[1], at = arguments[2], bytes_max = arguments[4];
  if (arena_check_column(arena, out, packets_max, TUN_READ_WORDS, fault) < 0) return -1;
  if (!arena_holds(arena, at, arguments[3])) return fault_range(fault, "the buffer lies outside the arena");
  uint32_t end = at + arguments[3], count = 0, ios = 0;
  uint64_t bytes = 0;
  while (count < packets_max && bytes <= bytes_max && (uint64_t)at + TUN_ROOM <= end) {
    at = aligned_header(at);
    ssize_t n = read_packet(lane->tun_fd, arena->base + at);
    if (n < 0 && device_is_gone(errno) && count == 0) return fault_system(fault, errno, "read");
    if (n < 0) break;
    if (n > 0) ios++;
    arena_store(arena, out + (count * TUN_READ_WORDS + TUN_READ_OFFSET) * 4, at);
    arena_store(arena, out + (count * TUN_READ_WORDS + TUN_READ_LENGTH) * 4, (uint32_t)n);
    bytes += (uint64_t)n;
    at += (uint32_t)n;
    count++;
  }
  books_count_io(&lane->books, BOOKS_READ_TUN_IO, ios);
  return (int)count;
}

// Copies the list of pieces into iovecs; false when it, or one of them, is not in the arena.
static bool gather_pieces(const struct arena *arena, const uint32_t *descriptor, struct iovec *pieces) {
  uint32_t list = descriptor[TUN_WRITE_PIECES_OFFSET], count = descriptor[TUN_WRITE_PIECES_COUNT];
  if (count < 1 || count > PIECES_MAX || list % 4 != 0 || !arena_holds(arena, list, (uint64_t)count * 8)) return false;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t piece[2];
    memcpy(piece, arena->base + list + i * 8, sizeof piece);
    if (!arena_holds(arena, piece[0], piece[1])) return false;
    pieces[i] = (struct iovec){arena->base + piece[0], piece[1]};
  }
  return true;
}

static int32_t write_pieces(struct lane *lane, const uint32_t *descriptor) {
  // Gathered again, and so checked again: another thread may have changed the list since the batch was checked.
  if (!gather_pieces(&lane->arena, descriptor, lane->scratch.pieces)) return -EFAULT;
  ssize_t n;
  do n = writev(lane->tun_fd, lane->scratch.pieces, (int)descriptor[TUN_WRITE_PIECES_COUNT]);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : (int32_t)n;
}

// descriptors, count
int lane_write_tun(struct lane *lane, const uint32_t *arguments, struct fault *fault) {
  uint32_t at = arguments[0], count = arguments[1], written = 0;
  if (arena_load(&lane->arena, at, count, TUN_WRITE_WORDS, lane->batch, fault) < 0) return -1;
  for (uint32_t i = 0; i < count; i++) {
    if (!gather_pieces(&lane->arena, lane->batch + i * TUN_WRITE_WORDS, lane->scratch.pieces)) {
      return fault_range(fault, "a list of pieces, or a piece, lies outside the arena or is empty");
    }
  }
  for (uint32_t i = 0; i < count; i++) {
    int32_t result = write_pieces(lane, lane->batch + i * TUN_WRITE_WORDS);
    arena_store(&lane->arena, at + (i * TUN_WRITE_WORDS + TUN_WRITE_RESULT) * 4, (uint32_t)result);
    if (result >= 0) written++;
  }
  books_count_io(&lane->books, BOOKS_WRITE_TUN_IO, written);
  return (int)written;
}
