#pragma once
// Token ids to text while they arrive: never half a UTF-8 character, never a part of a stop string.

#include <memory>
#include <string>
#include <vector>

#include "runtime/text/tokenizer.h"

namespace atlas {

class StreamDecoder {
  public:
    StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, std::vector<std::string> stop_strings);

    /// The text that is certain after this token; may be empty. Once stopped() it stays empty.
    std::string push(TokenId token);
    /// The text withheld so far, when the stream ends without a stop string; incomplete characters become U+FFFD.
    std::string finish();
    /// True when a stop string was reached; it and what follows are not part of the text.
    bool stopped() const { return stopped_; }

  private:
    std::shared_ptr<const Tokenizer> tokenizer_;
    std::vector<std::string> stop_strings_;
    std::string pending_;
    bool first_ = true;
    bool stopped_ = false;
};

}  // namespace atlas
