#pragma once
// The bytes of standard input, in order, for the line editor; kept for it while an answer is written.

#include <array>
#include <cstdint>
#include <deque>
#include <string_view>
#include <thread>

namespace atlas::tools {

/// Between collect() and stop_collecting() a thread reads the bytes that arrive, so that they are not limited to the 4
/// KiB of a terminal's queue and a Ctrl-C does not wait for them. Only one queue may exist at a time; next() and
/// unread() must be called by one thread.
class InputQueue {
  public:
    /// The marks around a paste (terminals send them after ESC[?2004h).
    static constexpr std::string_view kPasteStart = "\033[200~", kPasteEnd = "\033[201~";

    InputQueue();
    ~InputQueue();
    InputQueue(const InputQueue&) = delete;
    InputQueue& operator=(const InputQueue&) = delete;

    /// From now on the terminal makes no signals (ISIG is off), because it cannot distinguish Ctrl-C, Ctrl-Z and
    /// Ctrl-\ from the same bytes in a paste, which are text. The queue makes the signals instead. A paste without an
    /// end is ended by a Ctrl-C after which no byte follows.
    void make_signals();

    enum class Event { byte, end, woken };
    struct Next {
        Event event = Event::end;
        char byte = 0;
    };
    /// The next byte, or `woken` after wake(), or `end` of the input.
    Next next();
    bool has_ended() const { return ended_ && bytes_.empty(); }
    /// Puts bytes in front of all others.
    void unread(std::string_view bytes);
    /// Ends a next() that waits, now or later. Async-signal-safe.
    static void wake();

    /// Until stop_collecting() a thread keeps what arrives, up to kMostCollected bytes; the rest waits in the terminal,
    /// or is dropped after make_signals().
    void collect();
    void stop_collecting();
    static constexpr size_t kMostCollected = size_t{16} << 20;

  private:
    struct SignalKey {
        char byte = 0;
        int signal = 0;  // 0: the terminal has no such key
    };
    bool read_some();  // false: the input has ended
    void take(char byte);
    bool is_stuck_in_paste(int other);
    void run_collector();

    std::deque<int16_t> bytes_;  // 0 .. 255, or minus a signal's number
    std::array<SignalKey, 3> keys_;
    bool makes_signals_ = false;
    bool is_collecting_ = false;
    bool in_paste_ = false;
    bool ctrl_c_is_last_ = false;
    size_t n_matched_ = 0;  // of the mark that would change in_paste_
    bool ended_ = false;
    int stop_[2] = {-1, -1};  // a pipe that ends the collector
    std::thread collector_;
};

}  // namespace atlas::tools
