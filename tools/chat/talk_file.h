#pragma once
// Conversations in files: those that a person saves, and those that are kept so that no crash loses them.

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "tools/chat/conversation.h"

namespace atlas::tools {

/// Writes all messages as a JSON array; bytes that are no UTF-8 become U+FFFD. The file appears whole or not at all.
/// Fails: invalid_argument (it is there and may not be replaced, or is no regular file), io.
Result<void> save_talk(const Conversation& conversation, const std::filesystem::path& path, bool may_replace);
/// Reads what save_talk or KeptTalk wrote. Fails: not_found, io, limit, corrupt.
Result<Conversation> load_talk(const std::filesystem::path& path);

/// The file of one chat in the user's state folder, written anew after every turn and readable by the user alone. The newest kMostKept stay.
class KeptTalk {
  public:
    /// folder: empty keeps nothing.
    KeptTalk(std::filesystem::path folder, std::string model);

    /// `ended`: the user left; what was not ended is offered at the next start. An empty conversation removes the file.
    /// A failure is said once.
    void keep(const Conversation& conversation, bool ended);
    void remove();
    /// Leaves the file as it is and goes on in another one.
    void begin_new();
    const std::filesystem::path& path() const { return path_; }  // empty: nothing is kept

    struct Found {
        std::filesystem::path path;
        size_t n_messages = 0;
        std::string model;
        std::chrono::seconds age{};
        bool ended = false;  // also while the program that writes it still runs
    };
    /// The newest of an earlier chat.
    std::optional<Found> newest() const;
    static constexpr size_t kMostKept = 10;

  private:
    Result<void> write(const Conversation& conversation, bool ended);
    void remove_old() const;

    std::filesystem::path folder_;
    std::filesystem::path path_;
    std::string model_;
    uint32_t n_begun_ = 0;
    bool said_ = false;
};

}  // namespace atlas::tools
