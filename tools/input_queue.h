#pragma once
// The bytes of standard input, in order, whoever is waiting for them: the line editor, or nobody while an answer is written.

#include <array>
#include <cstdint>
#include <deque>
#include <string_view>
#include <thread>

namespace atlas::tools {

/// Bytes that arrive while nobody asks for them are read by a thread of its own (collect), so that neither the 4 KiB of a terminal's
/// queue bound them nor a Ctrl-C waits behind them. One at a time; next() and unread() belong to one thread.
class InputQueue {
  public:
    /// What stands around a paste (terminals send it after ESC[?2004h).
    static constexpr std::string_view kPasteStart = "\033[200~", kPasteEnd = "\033[201~";

    InputQueue();
    ~InputQueue();
    InputQueue(const InputQueue&) = delete;
    InputQueue& operator=(const InputQueue&) = delete;

    /// From here on the terminal makes no signals (ISIG is off); they are made here from its Ctrl-C, Ctrl-Z and Ctrl-\, for it cannot tell these from
    /// the same bytes in a paste, which are text. In a paste that does not end, a Ctrl-C after which nothing comes ends it.
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

    /// From here to stop_collecting(): what arrives is kept, up to kMostCollected bytes; the rest waits in the terminal, or is dropped where signals are
    /// made here.
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
