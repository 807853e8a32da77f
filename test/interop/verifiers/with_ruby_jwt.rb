require 'json'
require 'jwt'
require 'net/http'

issuer, audience, algorithm = ARGV
keys = nil
# Asked again for a key that is not known, as its documentation has it.
loader = lambda do |options|
  keys = nil if options[:kid_not_found]
  keys ||= JSON.parse(Net::HTTP.get(URI("#{issuer}/.well-known/jwks.json")), symbolize_names: true)
end
expected = {
  algorithms: [algorithm], jwks: loader, iss: issuer, verify_iss: true, aud: audience, verify_aud: true,
  required_claims: %w[exp sub]
}

$stdin.each_line do |line|
  begin
    claims, = JWT.decode(JSON.parse(line)['token'], nil, true, expected)
    puts JSON.generate(sub: claims['sub'].to_s)
  rescue StandardError => error
    puts JSON.generate(refused: "#{error.class}: #{error.message}")
  end
  $stdout.flush
end
