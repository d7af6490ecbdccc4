#pragma once
// The bytes of standard input, in order, whoever is waiting for them: the line editor, or nobody while an answer is written.

#include <deque>
#include <string_view>
#include <thread>

namespace atlas::tools {

/// Bytes that arrive while nobody asks for them are read by a thread of its own (collect), so that neither the 4 KiB of a terminal's
/// queue bound them nor a Ctrl-C waits behind them. One at a time; next() and unread() belong to one thread.
class InputQueue {
  public:
    InputQueue();
    ~InputQueue();
    InputQueue(const InputQueue&) = delete;
    InputQueue& operator=(const InputQueue&) = delete;

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

    /// From here to stop_collecting(): what arrives is kept, up to kMostCollected bytes; the rest waits in the terminal.
    void collect();
    void stop_collecting();
    static constexpr size_t kMostCollected = size_t{16} << 20;

  private:
    bool read_some();  // false: the input has ended
    void run_collector();

    std::deque<char> bytes_;
    bool ended_ = false;
    int stop_[2] = {-1, -1};  // a pipe that ends the collector
    std::thread collector_;
};

}  // namespace atlas::tools
