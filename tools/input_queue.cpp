#include "tools/input_queue.h"

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

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

// Waits until either has something to read; true: `first` has.
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

void InputQueue::make_signals() {
    termios settings = {};
    if (tcgetattr(STDIN_FILENO, &settings) != 0) return;
    constexpr std::array<std::pair<int, int>, 3> kKeys{{{VINTR, SIGINT}, {VSUSP, SIGTSTP}, {VQUIT, SIGQUIT}}};
    for (size_t i = 0; i < kKeys.size(); ++i) {
        const cc_t byte = settings.c_cc[kKeys[i].first];
        keys_[i] = {static_cast<char>(byte), byte == _POSIX_VDISABLE ? 0 : kKeys[i].second};
    }
    makes_signals_ = true;
}

// Called in the order of arrival. The only place that decides what is text and what is a signal.
void InputQueue::take(char byte) {
    const std::string_view mark = in_paste_ ? kPasteEnd : kPasteStart;
    n_matched_ = byte == mark[n_matched_] ? n_matched_ + 1 : byte == mark[0] ? 1 : 0;
    if (n_matched_ == mark.size()) {
        in_paste_ = !in_paste_;
        n_matched_ = 0;
    }
    const auto key =
        std::find_if(keys_.begin(), keys_.end(), [&](const SignalKey& k) { return k.signal != 0 && k.byte == byte; });
    const bool is_key = makes_signals_ && key != keys_.end();
    ctrl_c_is_last_ = is_key && in_paste_ && key->signal == SIGINT;
    if (is_key && !in_paste_) {
        if (!is_collecting_)
            bytes_.push_back(static_cast<int16_t>(-key->signal));  // in order with the bytes
        else
            kill(getpid(), key->signal);
    } else if (bytes_.size() < kMostCollected) {
        bytes_.push_back(static_cast<uint8_t>(byte));
    }
}

// Whether the last byte is a Ctrl-C in a paste, and neither more of the paste nor anything from `other` follows. Then a
// person pressed it, because a terminal sends a paste without a pause.
bool InputQueue::is_stuck_in_paste(int other) {
    constexpr int kPauseMs = 400;
    if (!ctrl_c_is_last_) return false;
    std::array<pollfd, 2> both{{{STDIN_FILENO, POLLIN, 0}, {other, POLLIN, 0}}};
    if (poll(both.data(), both.size(), kPauseMs) != 0) return false;
    ctrl_c_is_last_ = in_paste_ = false;
    n_matched_ = 0;
    if (!bytes_.empty()) bytes_.pop_back();
    return true;
}

bool InputQueue::read_some() {
    std::array<char, 4096> block;
    const auto got = read(STDIN_FILENO, block.data(), block.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (got <= 0) return false;
    for (ssize_t i = 0; i < got; ++i) take(block[static_cast<size_t>(i)]);
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
    if (bytes_.size() == 1 && is_stuck_in_paste(g_wake[0])) bytes_.push_back(-SIGINT);
    const int16_t byte = bytes_.front();
    bytes_.pop_front();
    if (byte >= 0) return {Event::byte, static_cast<char>(byte)};
    // The bytes that follow belong to the reader that runs after the signal was handled.
    kill(getpid(), -byte);
    constexpr int kLongestMs = 1000;
    pollfd woken = {g_wake[0], POLLIN, 0};
    while (poll(&woken, 1, kLongestMs) < 0 && errno == EINTR) {
    }
    empty_pipe(g_wake[0]);
    return {Event::woken, 0};
}

void InputQueue::unread(std::string_view bytes) {
    for (auto it = bytes.rbegin(); it != bytes.rend(); ++it) bytes_.push_front(static_cast<uint8_t>(*it));
}

void InputQueue::wake() {
    const int saved = errno;
    const char byte = 1;
    if (g_wake[1] >= 0) [[maybe_unused]]
        const auto written = write(g_wake[1], &byte, 1);
    errno = saved;
}

void InputQueue::run_collector() {
    while (!ended_ && (makes_signals_ || bytes_.size() < kMostCollected)) {
        if (is_stuck_in_paste(stop_[0])) {
            for (const char byte : kPasteEnd) bytes_.push_back(static_cast<uint8_t>(byte));
            kill(getpid(), SIGINT);
        }
        if (first_is_ready(stop_[0], STDIN_FILENO)) return;
        ended_ = !read_some();
    }
}

void InputQueue::collect() {
    ATLAS_CHECK(!collector_.joinable(), "collecting already");
    is_collecting_ = true;
    collector_ = std::thread([this] { run_collector(); });
}

void InputQueue::stop_collecting() {
    if (!collector_.joinable()) return;
    const char byte = 1;
    [[maybe_unused]] const auto written = write(stop_[1], &byte, 1);
    collector_.join();
    is_collecting_ = false;
    empty_pipe(stop_[0]);
}

}  // namespace atlas::tools
