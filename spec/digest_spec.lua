local digest = require "muster.digest"

describe("digest.sha256", function()
  it("is that of the standard (FIPS 180-2, appendix B)", function()
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", digest.sha256 "abc")
    assert.equal("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
      digest.sha256 "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
    assert.equal("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
      digest.sha256(("a"):rep(1000000)))
  end)

  it("is that of nothing, too, and of bytes of any value", function()
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", digest.sha256 "")
    assert.not_equal(digest.sha256 "", digest.sha256 "\0")
  end)

  it("of several texts is that of their concatenation", function()
    assert.equal(digest.sha256 "abc", digest.sha256("a", "", "b", "c"))
  end)

  it("takes strings", function()
    assert.has_error(function() digest.sha256() end)
    assert.has_error(function() digest.sha256 {} end)
    assert.has_error(function() digest.sha256("a", true) end)
  end)
end)
