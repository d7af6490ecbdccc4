#include "tools/input_queue.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "runtime/base/check.h"

namespace atlas::tools {

namespace {

int g_wake[2] = {-1, -1};  // wake() is called by signal handlers

void open_pipe(int (&ends)[2]) {
    ATLAS_CHECK(pipe(ends) == 0, "no pipe: errno {}", errno);
    for (const int end : ends) {
        fcntl(end, F_SETFD, FD_CLOEXEC);
        fcntl(end, F_SETFL, O_NONBLOCK);  // a full pipe wakes as well as one more byte would
    }
}

void close_pipe(int (&ends)[2]) {
    for (int& end : ends) {
        close(end);
        end = -1;
    }
}

void empty_pipe(int end) {
    std::array<char, 64> ignored;
    while (read(end, ignored.data(), ignored.size()) > 0) {
    }
}

// Waits until there is something to read from either; true: from `first`.
bool first_is_ready(int first, int second) {
    std::array<pollfd, 2> both{{{first, POLLIN, 0}, {second, POLLIN, 0}}};
    while (poll(both.data(), both.size(), -1) < 0 && errno == EINTR) {
    }
    return both[0].revents != 0;
}

}  // namespace

InputQueue::InputQueue() {
    ATLAS_CHECK(g_wake[0] < 0, "two InputQueues");
    open_pipe(g_wake);
    open_pipe(stop_);
}

InputQueue::~InputQueue() {
    stop_collecting();
    close_pipe(g_wake);
    close_pipe(stop_);
}

bool InputQueue::read_some() {
    std::array<char, 4096> block;
    const auto got = read(STDIN_FILENO, block.data(), block.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (got <= 0) return false;
    bytes_.insert(bytes_.end(), block.begin(), block.begin() + got);
    return true;
}

InputQueue::Next InputQueue::next() {
    ATLAS_CHECK(!collector_.joinable(), "next() while collecting");
    while (bytes_.empty()) {
        if (ended_) return {Event::end, 0};
        if (first_is_ready(g_wake[0], STDIN_FILENO)) {
            empty_pipe(g_wake[0]);
            return {Event::woken, 0};
        }
        ended_ = !read_some();
    }
    const char byte = bytes_.front();
    bytes_.pop_front();
    return {Event::byte, byte};
}

void InputQueue::unread(std::string_view bytes) { bytes_.insert(bytes_.begin(), bytes.begin(), bytes.end()); }

void InputQueue::wake() {
    const int saved = errno;
    const char byte = 1;
    if (g_wake[1] >= 0) [[maybe_unused]] const auto written = write(g_wake[1], &byte, 1);
    errno = saved;
}

void InputQueue::run_collector() {
    while (!ended_ && bytes_.size() < kMostCollected) {
        if (first_is_ready(stop_[0], STDIN_FILENO)) return;
        ended_ = !read_some();
    }
}

void InputQueue::collect() {
    ATLAS_CHECK(!collector_.joinable(), "collecting already");
    collector_ = std::thread([this] { run_collector(); });
}

void InputQueue::stop_collecting() {
    if (!collector_.joinable()) return;
    const char byte = 1;
    [[maybe_unused]] const auto written = write(stop_[1], &byte, 1);
    collector_.join();
    empty_pipe(stop_[0]);
}

}  // namespace atlas::tools
