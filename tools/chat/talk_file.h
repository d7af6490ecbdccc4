#pragma once
// Conversations in files: those that a person saves, and those that are kept so that no crash loses them.

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "tools/chat/conversation.h"

namespace atlas::tools {

/// Writes all messages as a JSON array; bytes that are no UTF-8 become U+FFFD. The file appears whole or not at all.
/// Fails: invalid_argument (the file exists and may not be replaced, or is no regular file), io.
Result<void> save_talk(const Conversation& conversation, const std::filesystem::path& path, bool may_replace);
/// Reads what save_talk or KeptTalk wrote. Fails: not_found, io, limit, corrupt.
Result<Conversation> load_talk(const std::filesystem::path& path);

/// The file of one chat in the user's state folder, written anew after every turn and readable only by the user. The
/// newest kMostKept are kept.
class KeptTalk {
  public:
    /// `folder`: if empty, nothing is kept.
    KeptTalk(std::filesystem::path folder, std::string model);

    /// `ended`: the user left; a chat that was not ended is offered at the next start. An empty conversation removes
    /// the file. A failure is reported once.
    void keep(const Conversation& conversation, bool ended);
    void remove();
    /// Leaves the file as it is and continues in a new one.
    void begin_new();
    const std::filesystem::path& path() const { return path_; }  // empty: nothing is kept

    struct Found {
        std::filesystem::path path;
        size_t n_messages = 0;
        std::string model;
        std::chrono::seconds age{};
        bool ended = false;  // also while the program that writes it still runs
    };
    /// The newest file of an earlier chat.
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
