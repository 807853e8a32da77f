"""Reviews: everybody reads, whoever is signed in writes, administrators delete."""
from django.urls import path
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny, IsAdminUser, IsAuthenticatedOrReadOnly
from rest_framework.response import Response
from rest_framework.views import APIView

reviews = [{"id": 1, "text": "Read by everybody", "author": None}]


class Readiness(APIView):
    authentication_classes = []
    permission_classes = [AllowAny]

    def get(self, request):
        return Response({"status": "ready"})


class Me(APIView):
    """Permitted to whom the settings permit it: somebody."""

    def get(self, request):
        return Response({"id": request.user.pk, "is_staff": request.user.is_staff})


class Reviews(APIView):
    permission_classes = [IsAuthenticatedOrReadOnly]

    def get(self, request):
        return Response(reviews)

    def post(self, request):
        text = request.data.get("text")
        if not isinstance(text, str) or not text:
            raise ValidationError({"text": ["This field is required."]})
        review = {"id": reviews[-1]["id"] + 1 if reviews else 1, "text": text, "author": request.user.pk}
        reviews.append(review)
        return Response(review, status=201)


class Review(APIView):
    permission_classes = [IsAdminUser]

    def delete(self, request, id):
        found = [review for review in reviews if review["id"] == id]
        for review in found:
            reviews.remove(review)
        return Response(status=204 if found else 404)


urlpatterns = [
    path("readyz", Readiness.as_view()),
    path("me", Me.as_view()),
    path("reviews", Reviews.as_view()),
    path("reviews/<int:id>", Review.as_view()),
]
