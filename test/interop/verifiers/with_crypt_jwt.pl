use strict;
use warnings;
use Crypt::JWT qw(decode_jwt);
use HTTP::Tiny;
use JSON::PP;

my ($issuer, $audience, $algorithm) = @ARGV;
my $keys;
$| = 1;

sub key_set {
    my $response = HTTP::Tiny->new->get("$issuer/.well-known/jwks.json");
    die "the key set does not answer\n" unless $response->{success};
    return decode_json($response->{content});
}

# By itself it compares a list of audiences with a text.
sub is_ours {
    my ($named) = @_;
    return scalar grep { $_ eq $audience } ref $named ? @$named : $named;
}

while (my $line = <STDIN>) {
    my $token = decode_json($line)->{token};
    my $said = eval {
        $keys //= key_set();
        my %expected = (
            token => $token, kid_keys => $keys, accepted_alg => $algorithm,
            verify_iss => $issuer, verify_aud => \&is_ours, verify_exp => 1, leeway => 0,
        );
        my $claims = eval { decode_jwt(%expected) };
        if (!$claims && $@ =~ /kid_keys|key not found|kid/i) {
            # A key that is not known: asked for once more.
            $keys = $expected{kid_keys} = key_set();
            $claims = decode_jwt(%expected);
        }
        die $@ unless $claims;
        { sub => "$claims->{sub}" };
    };
    $said //= { refused => "$@" };
    print encode_json($said), "\n";
}
