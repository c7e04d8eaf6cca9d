// Loaded before a program's libraries (LD_PRELOAD): counts the program's calls that change files, and stops
// at the one that FAULT_AT names (from 1), in the way that FAULT says: "kill", "int" and "term" send that
// signal; a number is the errno with which the call fails. FAULT_COUNT: a file that the number of calls is
// written to at the end.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <string>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace {

std::atomic<long> calls{0};

/// True when the call must fail, with errno set. Removing names needs no space, so it never fails.
bool fault(bool removes = false) {
  static const long at = std::getenv("FAULT_AT") ? std::atol(std::getenv("FAULT_AT")) : 0;
  static const char* kind = std::getenv("FAULT");
  if (++calls != at || !kind) return false;
  if (std::strcmp(kind, "kill") == 0) ::kill(::getpid(), SIGKILL);
  if (std::strcmp(kind, "int") == 0) ::kill(::getpid(), SIGINT);
  if (std::strcmp(kind, "term") == 0) ::kill(::getpid(), SIGTERM);
  errno = std::atoi(kind);
  return errno != 0 && !removes;
}

bool is_file(int descriptor) {
  return descriptor > 2;
}

/// The function of this name that would be called without this library.
template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

struct Report {
  ~Report() {
    const char* path = std::getenv("FAULT_COUNT");
    if (!path) return;
    const auto file =
        static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
    const std::string text = std::to_string(calls.load());
    if (file >= 0) ::syscall(SYS_write, file, text.data(), text.size());
  }
} report;

}  // namespace

extern "C" {

FILE* fopen(const char* path, const char* mode) {
  if (std::strpbrk(mode, "wa+") && fault()) return nullptr;
  return next<FILE*(const char*, const char*)>("fopen")(path, mode);
}
FILE* fopen64(const char* path, const char* mode) {
  if (std::strpbrk(mode, "wa+") && fault()) return nullptr;
  return next<FILE*(const char*, const char*)>("fopen64")(path, mode);
}
size_t fwrite(const void* data, size_t size, size_t count, FILE* file) {
  if (is_file(::fileno(file)) && fault()) return 0;
  return next<size_t(const void*, size_t, size_t, FILE*)>("fwrite")(data, size, count, file);
}
int fflush(FILE* file) {
  if (file && is_file(::fileno(file)) && fault()) return EOF;
  return next<int(FILE*)>("fflush")(file);
}
ssize_t write(int descriptor, const void* data, size_t size) {
  if (is_file(descriptor) && fault()) return -1;
  return next<ssize_t(int, const void*, size_t)>("write")(descriptor, data, size);
}
ssize_t writev(int descriptor, const iovec* pieces, int count) {
  if (is_file(descriptor) && fault()) return -1;
  return next<ssize_t(int, const iovec*, int)>("writev")(descriptor, pieces, count);
}
int fsync(int descriptor) {
  return fault() ? -1 : next<int(int)>("fsync")(descriptor);
}
int rename(const char* from, const char* to) {
  return fault() ? -1 : next<int(const char*, const char*)>("rename")(from, to);
}
int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  if (fault()) return -1;
  return next<int(int, const char*, int, const char*, unsigned)>("renameat2")(from_folder, from, to_folder,
                                                                              to, flags);
}
int link(const char* from, const char* to) {
  return fault() ? -1 : next<int(const char*, const char*)>("link")(from, to);
}
int unlink(const char* path) {
  return fault(true) ? -1 : next<int(const char*)>("unlink")(path);
}
int unlinkat(int folder, const char* path, int flags) {
  return fault(true) ? -1 : next<int(int, const char*, int)>("unlinkat")(folder, path, flags);
}
int remove(const char* path) {
  return fault(true) ? -1 : next<int(const char*)>("remove")(path);
}
int rmdir(const char* path) {
  return fault(true) ? -1 : next<int(const char*)>("rmdir")(path);
}
int mkdir(const char* path, mode_t mode) {
  return fault() ? -1 : next<int(const char*, mode_t)>("mkdir")(path, mode);
}

}  // extern "C"
